"""Running a study: Ray Tune and Optuna around the trainer, and the one code path that starts and resumes."""

import os

# Threads of OpenMP that wait for each other go to sleep soon, so that other programs can use the processor: a teacher
# of two threads beside two busy programs is 15 times as fast (docs/performance.md). On a quiet machine most waits are
# shorter than the 50 microseconds that the spin count stands for, and waking up would cost more. Only GNU's OpenMP
# reads the count. OpenMP reads both variables when PyTorch is loaded, in Ray's workers too, so they are set before any
# module of this package.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
