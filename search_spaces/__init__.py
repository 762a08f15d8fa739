"""What is searched: define-by-run spaces, recipes, and the numbers the sources printed."""
