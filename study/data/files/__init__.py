"""How data sets lie in files: archives, MATLAB files, pickles, and fetching them."""
