"""The command line and what it shows; no logic of a study."""
