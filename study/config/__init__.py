"""The study file as pydantic models, a file for each subject.

Works on what a user writes (YAML, `--set` overrides) and on what one training needs (`TrialConfig`). Knows nothing of
tensors, networks, Ray, Optuna or MLflow. `study.planning.check` checks whether a network fits its data.
"""

from study.config.arms import ArmConfig, ArmStudent, BaselineConfig
from study.config.budget import BudgetConfig
from study.config.data import DataConfig, DatasetName, Preprocessing
from study.config.differences import first_difference
from study.config.methods import MethodName
from study.config.mistakes import one_line
from study.config.reading import MAX_KEYS, MAX_MERGED, MAX_STUDY_FILE_CHARACTERS, dump_study, parse_study, read_text
from study.config.resources import ResourcesConfig
from study.config.search import (
    LEARNING_SAMPLERS,
    MAX_TRIALS,
    ConfirmConfig,
    Objective,
    Sampler,
    Scheduler,
    SearchConfig,
    SearchedSetting,
    SettingRange,
)
from study.config.seeds import SeedsUntilDecided
from study.config.study import NAME_PATTERN, FixedSeeds, StudyConfig, unused_seeds
from study.config.teachers import MAX_TEACHERS, StudentConfig, TeacherConfig
from study.config.training import Idle, Precision, TrainConfig
from study.config.trial import Outcome, Role, TrialConfig, teacher_trial
from study.methods import METHOD_SETTINGS
from study.methods.base import DEFAULT_COMBINATION, Combination
from study.stages import Stage
from study.values import (
    MAX_SEED,
    DropProbability,
    Grid,
    Model,
    NetworkReference,
    Seed,
    Share,
    Sigma,
    Temperature,
    Uniform,
    in_ticks,
    nearest,
    shown,
)

__all__ = [
    "DEFAULT_COMBINATION",
    "LEARNING_SAMPLERS",
    "MAX_KEYS",
    "MAX_MERGED",
    "MAX_SEED",
    "MAX_STUDY_FILE_CHARACTERS",
    "MAX_TEACHERS",
    "MAX_TRIALS",
    "METHOD_SETTINGS",
    "NAME_PATTERN",
    "ArmConfig",
    "ArmStudent",
    "BaselineConfig",
    "BudgetConfig",
    "Combination",
    "ConfirmConfig",
    "DataConfig",
    "DatasetName",
    "DropProbability",
    "FixedSeeds",
    "Grid",
    "Idle",
    "MethodName",
    "Model",
    "NetworkReference",
    "Objective",
    "Outcome",
    "Precision",
    "Preprocessing",
    "ResourcesConfig",
    "Role",
    "Sampler",
    "Scheduler",
    "SearchConfig",
    "SearchedSetting",
    "Seed",
    "SeedsUntilDecided",
    "SettingRange",
    "Share",
    "Sigma",
    "Stage",
    "StudentConfig",
    "StudyConfig",
    "TeacherConfig",
    "Temperature",
    "TrainConfig",
    "TrialConfig",
    "Uniform",
    "dump_study",
    "first_difference",
    "in_ticks",
    "nearest",
    "one_line",
    "parse_study",
    "read_text",
    "shown",
    "teacher_trial",
    "unused_seeds",
]
