"""Whether a study can be run to its end, asked before anything is made or downloaded.

Works on a study file and on what is known of its images. What later stages will build is built here first: the
trainings of the grid, what the search proposes at the edges of its space and at random, and the baseline of every
student among them. Knows nothing of tensors: costs and shapes are counted.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from models import cost, zoo
from models.notation import NotationError
from models.own_code import is_own
from search_spaces.grid import edge_points
from search_spaces.published import published_table
from study.config import ArmConfig, Role, StudyConfig, TrialConfig
from study.data.dataset import DatasetFacts
from study.errors import UserError
from study.methods.base import Method
from study.methods.own import try_losses
from study.noise.own import try_form
from study.noise.settings import Noise
from study.planning import plan
from study.planning.growth import first_round
from study.planning.proposals import RANDOM_PROPOSALS, probed, proposed_baseline


def check_study(config: StudyConfig, facts: DatasetFacts, runs_here: bool = True) -> None:
    """Whether every network fits the images, the classes and each other, and everything named exists.

    Args:
        config: the study.
        facts: what is known of its images.
        runs_here: whether it is to run on this machine; on another one, absolute paths are that one's.

    Raises:
        UserError: names the network and what does not fit.
    """
    if config.published is not None:
        published_table(config.published)
    _check_budget(config)
    fits = Fits(config, facts)
    fits.network(config.student.network)
    teachers = plan.teacher_trials(config)
    for trial in (*teachers, *plan.grid_trials(plan.over_one_seed(config))):
        fits(trial)
    if config.search is not None:
        _check_search(config, fits)
    fits.try_own_code()
    for trial in teachers:
        for key, name in (("weights", trial.weights), ("logits", trial.logits)):
            if name is not None:
                _check_file(f"teacher {trial.network}: {key} {name}", name, runs_here)


def _check_file(what: str, name: str, runs_here: bool) -> None:
    try:
        file = zoo.weights_file(name)
    except NotationError as error:
        raise UserError(f"{what}: {error}") from None
    if not os.path.isfile(file) and (runs_here or not file.is_absolute()):
        _, _, weights = name.partition("torchvision:")
        fetched = f"torchvision.models.get_weight({weights!r}).get_state_dict()"
        hint = f' in the cache ({file}); fetch it with: python -c "import torchvision; {fetched}"' if weights else ""
        raise UserError(f"{what}: no such file{hint}")


@dataclass(frozen=True)
class _Demand:
    """What a training asks of its network beside images and classes.

    Attributes:
        role: whose training it is, for messages.
        dropout: drop probability after the hidden fully connected layers.
        single: whether its mini-batches are of one image.
    """

    role: Role
    dropout: float
    single: bool

    @staticmethod
    def of(trial: TrialConfig) -> "_Demand":
        return _Demand(trial.role, trial.dropout, trial.train.batch_size == 1 and not trial.is_given)


@dataclass
class Fits:
    """Whether a training's network fits its images, and the baseline of a student fits that student.

    Called with every training that is planned or proposed; what was found to fit is not looked at again. The user's
    methods and forms of noise are collected, and tried by `try_own_code`.
    """

    config: StudyConfig
    facts: DatasetFacts
    _networks: set[str] = field(default_factory=set)
    _methods: dict[str, dict[str, Method]] = field(default_factory=dict)
    _forms: set[str] = field(default_factory=set)
    _demands: set[tuple[str, _Demand]] = field(default_factory=set)

    def __call__(self, trial: TrialConfig) -> None:
        """Look at a training, and at the baseline of its student.

        Raises:
            UserError: names the network and what does not fit.
        """
        if is_own(trial.method):
            learns = trial.learns
            self._methods.setdefault(trial.method, {}).setdefault(repr(learns), learns)
        noise: Noise = trial.noise
        if is_own(noise.form):
            self._forms.add(noise.form)
        if trial.has_network:
            self._look(trial.network, _Demand.of(trial))
        if trial.role == "arm":
            for demand in self._of_the_baseline:
                self._look(trial.network, demand)

    def try_own_code(self) -> None:
        """Try the losses and forms of noise of the user, each reference in a process of its own. This loads PyTorch.

        Raises:
            UserError: one of them cannot be computed, or hangs.
        """
        classes = self.facts.class_count
        if classes is None:
            return
        try:
            for reference, methods in self._methods.items():
                try_losses(reference, list(methods.values()), classes)
            for reference in sorted(self._forms):
                try_form(reference, classes)
        except ValueError as error:
            raise UserError(str(error)) from None

    def network(self, reference: str) -> None:
        """Whether there is such a network, and it takes the images and gives their classes.

        Raises:
            UserError: says why not.
        """
        if reference in self._networks:
            return
        shape, classes = self.facts.input_shape, self.facts.class_count
        with self._naming(f"network {reference}"):
            zoo.get(reference)
            if shape is not None and classes is not None:
                cost.network_cost(reference, shape, classes)
        self._networks.add(reference)

    def _look(self, network: str, demand: _Demand) -> None:
        if (network, demand) in self._demands:
            return
        self._demands.add((network, demand))
        self.network(network)
        if demand.dropout > 0:
            with self._naming(f"dropout {demand.dropout:g} of the {demand.role} for the student {network}", False):
                zoo.with_dropout(network, demand.dropout)
        shape, classes = self.facts.input_shape, self.facts.class_count
        if shape is None or classes is None:
            return
        if demand.single and zoo.smallest_batch(network, shape, classes) > 1:
            raise UserError(
                f"batch_size 1 of the {demand.role} for the network {network}: its batch normalisation would get one "
                "value per channel and needs two or more; use a larger batch_size"
            )

    @cached_property
    def _of_the_baseline(self) -> list[_Demand]:
        trials = (plan.search_trial(self.config, arm, "baseline") for arm in _baselines(self.config))
        return list(dict.fromkeys(map(_Demand.of, trials)))

    @contextmanager
    def _naming(self, what: str, with_images: bool = True) -> Iterator[None]:
        try:
            yield
        except NotationError as error:
            images = "×".join(map(str, self.facts.input_shape or ()))
            of_images = f" for {images} images of {self.config.data.name}" if with_images else ""
            raise UserError(f"{what}{of_images}: {error}") from None


def _check_search(config: StudyConfig, fits: Callable[[TrialConfig], None]) -> None:
    """Whether everything that the search may propose can be trained and confirmed, as far as asking it tells."""
    assert config.search is not None
    found = probed(config, fits)
    if not found.accepted:
        raise UserError(
            f"search.space: {config.search.space} rejects every point that was tried, those at the edges of its ranges "
            f"and {RANDOM_PROPOSALS} at random; let it accept more"
        )
    proposed = found.arms[: config.search.confirm.top]
    for trial in plan.confirmation_trials(plan.over_one_seed(config), proposed, _baselines(config)[-1]):
        fits(trial)


def _check_budget(config: StudyConfig) -> None:
    """Whether the budget allows the first round. With less, a study would stop without a single result."""
    most = None if config.budget is None else config.budget.trainings
    if most is not None and (needed := first_round(config)) > most:
        raise UserError(f"budget.trainings: the first round has {needed} trainings, and the budget allows {most}")


def _baselines(config: StudyConfig) -> list[ArmConfig]:
    """The baseline; where it is searched, with the training settings at the edges of their ranges."""
    if config.baseline.search is None:
        return [config.baseline]
    found: list[ArmConfig] = []
    propose = proposed_baseline(config)
    edge_points(lambda trial: found.append(propose(trial)))
    return found
