"""Running a study: Ray Tune and Optuna around the trainer, and the one code path that starts and resumes."""

import os

# An OpenMP thread that waits for another thread goes to sleep soon, so that other programs can use the processor. A
# teacher with two threads beside two busy programs is then 15 times as fast (docs/performance.md). On a quiet machine
# most waits are shorter than 50 microseconds, which is about what the spin count takes; a thread that slept would lose
# time there. Only GNU's OpenMP reads the count. OpenMP reads both variables when PyTorch is loaded, also in Ray's
# workers, so they are set before any module of this package is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
