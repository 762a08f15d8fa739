"""Figures of one study, drawn with matplotlib. Each kind has a module, `style` has their look, `pictures` lists them.

Importing this package does not import matplotlib. The modules that draw import it.
"""
