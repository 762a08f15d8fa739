"""The tracking schema: every tag, parameter and metric name, in one place.

Works on names only. Whoever logs a study in this shape, by hand too, gets its tables; `study.results` reads nothing
else. One MLflow experiment per study name; a parent run of kind `study`, below it runs of kind `trial` and `teacher`.
"""

from typing import Literal

Kind = Literal["study", "trial", "teacher"]

# Tags
KIND = "noisy_study.kind"
PARENT = "mlflow.parentRunId"
TRIAL_ID = "noisy_study.trial_id"
ROLE = "noisy_study.role"
STAGE = "noisy_study.stage"
OUTCOME = "noisy_study.outcome"
REASON = "noisy_study.reason"  # one line, where the outcome is failed or diverged
REPEATS = "noisy_study.repeats"  # id of the search trial whose result was taken, where it was the same training
COMMIT = "mlflow.source.git.commit"  # of the parent's first start; ends in `DIRTY` where files differed from it
DIRTY = "-dirty"
VERSION = "noisy_study.version."  # + a package, of the parent: its version at the first start
START = "noisy_study.start."  # + Unix time in milliseconds, of the parent, one for every start and resume:
# JSON {"timestamp_ms": …, "versions": {package: version}, "commit": commit or null}

# Parameters of a trial. `sigma` is a number, or "[low, high]" where `sigma_mode` is "uniform".
DATASET = "dataset"
TEACHER = "teacher"  # several are joined by "+"
TEACHER_KEY = "teacher_key"  # identifies the teachers; several keys are joined by "+"; "" where there is no teacher
STUDENT = "student"
METHOD = "method"
SIGMA = "sigma"
SIGMA_MODE = "sigma_mode"  # fixed | uniform
NOISE = "noise"  # fresh | frozen
ALPHA = "alpha"
SEED = "seed"
COMBINE = "combine"  # what several teachers say together; only where there are several, or it is not the default
DROPOUT = "dropout"  # drop probability after the student's hidden fully connected layers, where there is any
TEACHER_CHAIN = "teacher_chain"  # the teachers with their own teachers, "assistant<teacher", where there are any
MULTIPLICATIONS = "multiplications"
PARAMETERS = "parameters"
TEACHER_MULTIPLICATIONS = "teacher_multiplications"  # summed over several teachers

# Metrics of every epoch; the step is the epoch, from 1. Errors are fractions of 1.
TRAIN_LOSS = "train_loss"
VAL_ERROR = "val_error"
IMAGES_PER_SECOND = "images_per_second"

# Metrics logged once, at the end, with the last epoch as their step.
BEST_VAL_ERROR = "best_val_error"
BEST_EPOCH = "best_epoch"
TRAIN_SECONDS = "train_seconds"
PREDICTED_CLASSES = "predicted_classes"  # how many different classes the network predicts for the test images
EPOCHS_TRAINED = "epochs_trained"  # how many epochs the training took
TEST_ERROR = "test_error"  # stages grid and confirm, and teachers; never search
EPOCHS_TO_TARGET = "epochs_to_target"  # first epoch whose val_error is at most the parameter `target_error`;
SECONDS_TO_TARGET = "seconds_to_target"  # absent where it was never reached

# A parameter of trials that have a target.
TARGET_ERROR = "target_error"

# Artifacts and parameters of the parent run
STUDY_FILE = "study.yaml"
DATA_DIGEST = "data_digest"
LOGITS_DIGESTS = "logits_digests"  # JSON: SHA-256 of every combination of logits, by "TEACHER_KEY COMBINATION"
SEEDS = "seeds"  # of the baseline and of every arm of the grid, "0,1,2"
CONFIRM_SEEDS = "confirm_seeds"  # of what a search found, where there is a search
BASELINE_KIND = "baseline_kind"  # how the baseline's own settings were found
SAMPLER = "sampler"  # of a search
SEARCH_TRIALS = "search_trials"  # how many trials a sampler proposes
STARTUP_TRIALS = "startup_trials"  # so many of them are random before a sampler learns
OBJECTIVES = "objectives"  # of a search, joined by ","
CONFIRM_TOP = "confirm_top"  # how many points of the search are asked to be confirmed
CONFIRM_POINTS = "confirm_points"  # how many different ones there were
PUBLISHED = "published"  # parameter of the parent: a name in search_spaces.published
