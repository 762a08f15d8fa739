"""Running a study: Ray Tune and Optuna around the trainer, and the one code path that starts and resumes."""

import os

# Threads of OpenMP that wait for one another soon sleep, instead of keeping a processor busy that another program could
# use: a teacher of two threads beside two busy programs is 15 times as fast (docs/performance.md). The count is some 50
# microseconds, and GNU's OpenMP alone reads it: on a quiet machine most waits are shorter, and waking up would cost more.
# OpenMP reads both when PyTorch is loaded, in Ray's workers too. So they stand in front of every module of this package.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
