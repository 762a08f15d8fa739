"""The tracking schema: the names of all tags, parameters and metrics, in one place.

Works on names only. `study.results` reads only these, so it also makes tables from runs that were logged by hand in
this schema. Each study has one MLflow experiment of its name, with a parent run of kind `study` and child runs of the
kinds `trial` and `teacher`.
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
REASON = "noisy_study.reason"  # one line, if the outcome is failed or diverged
REPEATS = "noisy_study.repeats"  # id of the earlier search trial with the same training, whose result was taken
# Tags of the parent run
COMMIT = "mlflow.source.git.commit"  # of the first start; ends in `DIRTY` if files differed from the commit
DIRTY = "-dirty"
VERSION = "noisy_study.version."  # + a package: its version at the first start
START = "noisy_study.start."  # + Unix time in milliseconds, one for every start and resume:
# JSON {"timestamp_ms": …, "versions": {package: version}, "commit": commit or null}

EXTENSION = "noisy_study.extension."  # + Unix time in milliseconds, one for every extension:
# JSON {"timestamp_ms": …, "changes": [{"key": …, "before": …, "after": …}]}
NOW = "noisy_study.now."  # + a parameter of `GROWING` that an extension changed: its new value, which counts

VERDICT = (
    "noisy_study.verdict."  # + id of an arm's trial with the first seed: JSON of `study.results.arm_looks.ArmLook`
)

# Tags of the experiment; the id is a tag of the parent too
STUDY_ID = "noisy_study.study_id"  # random, made when the study first starts: a name belongs to one study
OWNER = "noisy_study.owner"  # "TOKEN HOST:/FOLDER" of the last start: a copied folder does not know later tokens
DELIVERY = "noisy_study.delivery"  # random, new with every delivery of events: a restored backup has an older one

# Parameters of a trial. `sigma` is a number, or "[low, high]" where `sigma_mode` is "uniform".
DATASET = "dataset"
TEACHER = "teacher"  # several are joined by "+"
TEACHER_KEY = "teacher_key"  # identifies the teachers; several keys are joined by "+"; "" without a teacher
STUDENT = "student"
METHOD = "method"
SIGMA = "sigma"
SIGMA_MODE = "sigma_mode"  # fixed | uniform
NOISE = "noise"  # frozen for one draw per image, else fresh
NOISE_SETTING = "noise_"  # + a setting of `study.noise.settings.Noise`, where it is not its default: noise_form, …
READING = "reading"  # the reading of the paper that has exactly these settings of the noise, where there is one
ALPHA = "alpha"
SEED = "seed"
COMBINE = "combine"  # how the logits of several teachers are combined; only with several, or if it is not the default
DROPOUT = "dropout"  # drop probability after the student's hidden fully connected layers, if it is not 0
TEACHER_CHAIN = "teacher_chain"  # the teachers with their own teachers, "assistant<teacher", if they have any
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
EPOCHS_TRAINED = "epochs_trained"  # how many epochs were trained
LOGIT_RMS = "logit_rms"  # root mean square of the teachers' combined logits for the training images
NOISE_RMS = "noise_rms"  # root mean square of the perturbation of a logit, if there is noise
TEACHER_AGREEMENT = "teacher_agreement"  # share of validation images: student and teachers choose the same class
TEST_ERROR = "test_error"  # stages grid and confirm, and teachers; never search
EPOCHS_TO_TARGET = "epochs_to_target"  # first epoch whose val_error is at most the parameter `target_error`
SECONDS_TO_TARGET = "seconds_to_target"  # training time until then; both are absent if it was never reached

# A parameter of trials that have a target.
TARGET_ERROR = "target_error"

# Artifacts and parameters of the parent run
STUDY_FILE = "study.yaml"
DATA = "noisy_study.data"  # tag in the source of a logged data set: the study's data section, as JSON
DATA_DIGEST = "data_digest"
LOGITS_DIGESTS = "logits_digests"  # JSON: SHA-256 of every combination of logits, by "TEACHER_KEY COMBINATION"
SEEDS = "seeds"  # of the baseline and of every arm of the grid, "0,1,2"
SEED_ROUNDS = "seed_rounds"  # "3,5,8": how many of `seeds` are trained at the end of each round; absent if all are
CONFIRM_ROUNDS = "confirm_rounds"  # the same for `confirm_seeds`
CONFIRM_SEEDS = "confirm_seeds"  # of the stage confirm, if there is a search
BASELINE_KIND = "baseline_kind"  # how the baseline's own settings were found
SAMPLER = "sampler"  # of a search
SEARCH_TRIALS = "search_trials"  # how many trials a sampler proposes
STARTUP_TRIALS = "startup_trials"  # how many of them are random, before the sampler learns from results
OBJECTIVES = "objectives"  # of a search, joined by ","
CONFIRM_TOP = "confirm_top"  # how many points of the search the study file asks to confirm
CONFIRM_POINTS = "confirm_points"  # how many points were chosen; fewer if the search found fewer
VARY = "vary"  # what a seed trains, "student,teacher"; absent if it is the student alone
SMALLEST_EFFECT = "smallest_effect"  # per cent; a smaller improvement does not matter; absent if every one does
PUBLISHED = "published"  # parameter of the parent: a name in search_spaces.published

STOPPED = "stopped"  # why the study stopped before every arm was decided: its budget; "" if an extension went further

GROWING = (SEEDS, CONFIRM_SEEDS, SEARCH_TRIALS, CONFIRM_TOP, CONFIRM_POINTS, LOGITS_DIGESTS, STOPPED)
"""Parameters of the parent run that an extension may change. MLflow does not change a parameter, so their new values
are tags (`NOW`)."""
