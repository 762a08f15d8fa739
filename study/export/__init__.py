"""The best student, out of its study: which one it is, as a file for other runtimes, and in MLflow's model registry."""
