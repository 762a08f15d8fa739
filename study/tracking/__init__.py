"""MLflow: what is tracked, under which names, and the client that writes it."""
