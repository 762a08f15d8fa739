"""File formats of data sets: archives, MATLAB files, restricted pickles; and downloads."""
