"""The best student of a study: choosing it, exporting it as a file, and registering it in MLflow."""
