"""Studies on a running Ray cluster: what travels there, and the jobs that run it."""
