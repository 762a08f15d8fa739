"""Studies on a running Ray cluster: the files that are sent to it, and the jobs that run the studies."""
