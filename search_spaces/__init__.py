"""Search spaces (define-by-run), recipes, and the numbers that the sources print."""
