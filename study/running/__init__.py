"""Running a study: Ray Tune and Optuna around the trainer, and the code that starts and resumes studies."""
