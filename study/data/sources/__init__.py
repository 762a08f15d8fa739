"""One file per data set: where it comes from, what it holds, and how it is read."""
