"""Which trainings a study consists of: stages, points, seeds, keys, and whether all of them can be run."""
