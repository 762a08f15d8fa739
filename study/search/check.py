"""Whether a study can be run at all, asked before anything is made or downloaded.

Works on a study file and on what is known of its images. Knows nothing of tensors: costs and shapes are counted.
"""

import os

import optuna

from models import cost, zoo
from models.notation import NotationError
from search_spaces.grid import grid_points
from search_spaces.published import published_table
from search_spaces.spaces import get_space
from study.config import StudyConfig
from study.data.dataset import DatasetFacts
from study.errors import UserError
from study.search import plan
from study.search.sources import arms_of


def check_study(config: StudyConfig, facts: DatasetFacts) -> None:
    """Whether every network fits the images, the classes and each other, and everything named exists.

    Raises:
        UserError: names the network and what does not fit.
    """
    if config.search is not None:
        _check_space(config)
    if config.published is not None:
        published_table(config.published)
    trials = plan.teacher_trials(config) + plan.grid_trials(config)
    for reference in dict.fromkeys([*(trial.network for trial in trials), config.student.network]):
        try:
            zoo.get(reference)
            if facts.input_shape is not None and facts.class_count is not None:
                cost.network_cost(reference, facts.input_shape, facts.class_count)
        except NotationError as error:
            images = "×".join(map(str, facts.input_shape or ()))
            raise UserError(f"network {reference} for {images} images of {config.data.name}: {error}") from None
    for network, dropout in dict.fromkeys((trial.network, trial.dropout) for trial in trials if trial.dropout > 0):
        try:
            zoo.with_dropout(network, dropout)
        except NotationError as error:
            raise UserError(f"dropout {dropout:g} for the student {network}: {error}") from None
    for trial in trials:
        if trial.weights is not None and not os.path.isfile(trial.weights):
            raise UserError(f"teacher {trial.network}: weights {trial.weights}: no such file")


def _check_space(config: StudyConfig) -> None:
    """Whether the search's space proposes something this study can train, asked once for nothing."""
    assert config.search is not None
    space = get_space(config.search.space)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    propose = arms_of(config, space)
    propose(trial)
    if config.search.sampler == "grid":
        grid_points(propose, config.search.grid_points)
