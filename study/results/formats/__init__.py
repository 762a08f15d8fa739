"""How a table is written: one module for each format, each with a function `write`."""
