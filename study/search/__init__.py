"""Running a study: Ray Tune and Optuna around the trainer, and the one code path that starts and resumes."""
