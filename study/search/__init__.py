"""Running a study: Ray Tune and Optuna around the trainer, and the one code path that starts and resumes."""

import os

# Threads of OpenMP that wait for one another sleep, instead of keeping a processor busy that another program could use:
# a teacher of two threads beside two busy programs is 20 times as fast (docs/performance.md). OpenMP reads this when
# PyTorch is loaded, in Ray's workers too, so it stands in front of every module of this package that loads PyTorch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
