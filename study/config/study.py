"""The study file as a whole, and the rules that concern several of its parts."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Literal, NamedTuple, Self

from pydantic import (
    Field,
    PrivateAttr,
    model_validator,
)

from study.config.arms import ArmConfig, BaselineConfig
from study.config.budget import BudgetConfig
from study.config.data import DataConfig
from study.config.resources import ResourcesConfig
from study.config.search import MAX_TRIALS, SearchConfig, SearchedSetting, SettingRange
from study.config.seeds import Seeds, SeedsUntilDecided
from study.config.teachers import StudentConfig, TeacherConfig
from study.config.training import WITHOUT_SGD, Idle, TrainConfig, within
from study.values import (
    MAX_SEED,
    Model,
    Seed,
)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""A study's name is also the name of its folder and of its MLflow experiment. So it has no path separators."""

Varied = Literal["student", "teacher"]
"""What a seed of a study trains anew."""


def unused_seeds(seeds: Sequence[int]) -> Iterator[int]:
    """Seeds that are not among the given ones: first those above the largest, then from 0."""
    used, last = set(seeds), max(seeds)
    for step in range(1, MAX_SEED + 1):
        if (seed := (last + step) % (MAX_SEED + 1)) not in used:
            yield seed


class FixedSeeds(Model):
    """The seeds of a study's search and confirmation. Its first start fixes them, and an extension may only add seeds
    to the confirmation.

    Attributes:
        search: the seed that the search trains with.
        confirmation: the seeds of the confirmation, in order.
    """

    search: Seed
    confirmation: tuple[Seed, ...]


class _Training(NamedTuple):
    """How the students of the baseline, of an arm or of the search are trained.

    Attributes:
        own: the training settings that they do not take from the study.
        may_use_sgd: whether the optimizer of any of them can be sgd.
    """

    own: frozenset[str]
    may_use_sgd: bool


class StudyConfig(Model):
    """One study: its data, its teachers, its arms over seeds, its search."""

    name: str = Field(pattern=NAME_PATTERN, description="of the study, its folder and its MLflow experiment")
    published: str | None = Field(
        None, description="a table of search_spaces.published: its numbers are printed beside those of the study"
    )
    data: DataConfig
    teachers: tuple[TeacherConfig, ...] = Field(min_length=1, max_length=100)
    student: StudentConfig
    train: TrainConfig = TrainConfig()
    baseline: BaselineConfig = BaselineConfig(method="logit_regression")
    arms: tuple[ArmConfig, ...] = Field(
        (), max_length=1000, description="what is compared with the baseline; each list of values is a grid"
    )
    seeds: Seeds = Field((0, 1, 2), description="a list of seeds, or rounds of seeds until every arm is decided")
    vary: tuple[Varied, ...] = Field(
        ("student",), min_length=1, description="what a seed trains: [student], or [student, teacher]"
    )
    smallest_effect: float | None = Field(
        None, gt=0, lt=100, description="per cent; a smaller improvement does not matter"
    )
    search: SearchConfig | None = None
    budget: BudgetConfig | None = None
    resources: ResourcesConfig = ResourcesConfig()
    _fixed: FixedSeeds | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _is_one_study(self) -> Self:
        if self.baseline.size > 1 or self.baseline.student is not None:
            raise ValueError(
                "baseline: it has the same settings for every student; it takes no list of values and no `student`"
            )
        if len(set(self.seed_list)) != len(self.seed_list):
            raise ValueError(f"seeds: expected each seed once, not {list(self.seed_list)}")
        self._check_varied()
        if self.baseline.search is not None:
            self._check_searched_baseline()
        if not self.arms and self.search is None:
            raise ValueError("nothing to compare with the baseline: give `arms`, `search` or both")
        points = sum(arm.size for arm in self.arms) * len(self.seed_list)
        if points > MAX_TRIALS:
            raise ValueError(
                f"arms: {points} trainings (points times seeds); expected at most {MAX_TRIALS} in one study"
            )
        for path, why in self.without_effect():
            if self._is_given(path):
                raise ValueError(f"{'.'.join(map(str, path))}: has no effect {why}; remove it")
        return self

    def without_effect(self) -> Idle:
        """Settings that no training and no stage of the study uses. They may not be given, and are not printed."""
        for index, teacher in enumerate(self.teachers):
            yield from within("teachers", within(index, teacher.without_effect()))
        yield from within("train", self._training_without_effect())
        arms: list[tuple[tuple[str | int, ...], ArmConfig]] = [(("baseline",), self.baseline)]
        arms += [(("arms", index), arm) for index, arm in enumerate(self.arms)]
        for where, arm in arms:
            for path, why in arm.without_effect(len(self.teachers)):
                yield (*where, *path), why
            if "momentum" in (arm.train or {}) and not self._of_arm(arm).may_use_sgd:
                yield (*where, "train", "momentum"), WITHOUT_SGD
        if self.search is not None:
            yield from within("search", self.search.without_effect())
            searched = [self._of_search(self.search), *([self._of_arm(self.baseline)] if self.baseline.search else [])]
            if "momentum" in self.search.train and not any(training.may_use_sgd for training in searched):
                yield ("search", "train", "momentum"), WITHOUT_SGD

    def _training_without_effect(self) -> Idle:
        """The settings of `train` that no student takes, because its arm or the search has a value of its own."""
        trainings = [self._of_arm(arm) for arm in (self.baseline, *self.arms)]
        if self.search is not None:
            trainings.append(self._of_search(self.search))
        for name in TrainConfig.model_fields:
            takers = [training for training in trainings if name not in training.own]
            if not takers:
                yield (name,), "because every training of a student has a value of its own"
            elif name == "momentum" and not any(training.may_use_sgd for training in takers):
                yield (name,), WITHOUT_SGD

    def _of_arm(self, arm: ArmConfig) -> "_Training":
        own: dict[str, SearchedSetting] = {**arm.training}
        if isinstance(arm, BaselineConfig) and arm.search is not None and self.search is not None:
            own |= self.search.train
        return _Training(frozenset(own), self._has_sgd(own))

    def _of_search(self, search: SearchConfig) -> "_Training":
        # It is not known which other settings a user's own space sets.
        return _Training(frozenset(search.train), ":" in search.space or self._has_sgd(search.train))

    def _has_sgd(self, own: Mapping[str, SearchedSetting]) -> bool:
        optimizers = own.get("optimizer", (self.train.optimizer,))
        return not isinstance(optimizers, SettingRange) and "sgd" in optimizers

    def _is_given(self, path: tuple[str | int, ...]) -> bool:
        here: Any = self
        for part in path[:-1]:
            here = getattr(here, str(part)) if isinstance(here, Model) else here[part]
        if not isinstance(here, Model):
            return path[-1] in here
        return path[-1] in here.model_fields_set and getattr(here, str(path[-1])) is not None

    def _check_varied(self) -> None:
        if self.vary not in (("student",), ("student", "teacher")):
            raise ValueError(f"vary: expected [student] or [student, teacher], not {list(self.vary)}")
        if not self.varies_teacher:
            return
        groups = (self.teachers, *(arm.teachers or () for arm in (self.baseline, *self.arms)))
        for teacher in chain.from_iterable(groups):
            if (key := teacher.read_from) is not None:
                raise ValueError(
                    f"vary: no seed can train the teacher {teacher.network}, because it or a teacher of its own is "
                    f"read from `{key}`"
                )

    @property
    def varies_teacher(self) -> bool:
        """Whether each seed brings a teacher of its own."""
        return "teacher" in self.vary

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Every seed that any student of the study is trained with: those of the grid, the confirmation, the search."""
        searched = () if self.search is None else (*self.confirmation_seeds, self.search_seed)
        return tuple(dict.fromkeys([*(self.seed_list if self.arms else ()), *searched]))

    def _check_searched_baseline(self) -> None:
        if self.search is None or not self.search.train:
            raise ValueError("baseline.search: equal needs `search.train`, the settings to search for both")
        if self.search.sampler == "grid":
            raise ValueError(
                "baseline.search: equal is not possible with the sampler grid, because the arms have more points than "
                "the baseline; use another sampler"
            )
        if self.arms:
            raise ValueError(
                "baseline.search: a searched baseline has settings that the `arms` do not have; put the arms into a "
                "separate study"
            )
        if taken := set(self.search.train) & set(self.baseline.training):
            where = "baseline.train" if min(taken) in (self.baseline.train or {}) else "baseline"
            raise ValueError(f"{where}: {min(taken)} is searched, so it cannot be set here too")

    @property
    def seed_list(self) -> tuple[int, ...]:
        """Every seed that an arm may be trained with, in order."""
        return tuple(range(self.seeds.at_most)) if isinstance(self.seeds, SeedsUntilDecided) else self.seeds

    def with_seeds(self, fixed: FixedSeeds | None) -> "StudyConfig":
        """The study with the seeds of search and confirmation that its first start has fixed; None: by its file."""
        if fixed is None or self.search is None:
            return self
        copy = self.model_copy()
        copy._fixed = fixed
        return copy

    @property
    def fixed_seeds(self) -> FixedSeeds | None:
        """The seeds of its search and its confirmation; None where it has no search."""
        if self.search is None:
            return None
        return self._fixed or FixedSeeds(search=self.search_seed, confirmation=self.confirmation_seeds)

    @property
    def search_seed(self) -> int:
        """The seed of the search's trainings. Its best points are confirmed with other seeds."""
        if self._fixed is not None:
            return self._fixed.search
        if self.search is not None and self.search.seed is not None:
            return self.search.seed
        return next(unused_seeds(self.seed_list))

    @property
    def confirmation_seeds(self) -> tuple[int, ...]:
        """The seeds that confirm the best points of the search. Without a search there are none.

        The search does not train with them. They are the study's own seeds, and more if the confirmation needs more.
        """
        if self.search is None:
            return ()
        return self._fixed.confirmation if self._fixed is not None else self.seeds_to_confirm((), self.search_seed)

    def seeds_to_confirm(self, before: tuple[int, ...], search_seed: int) -> tuple[int, ...]:
        """The seeds of the confirmation, as many as the study file asks for.

        Args:
            before: those that are fixed already; they stay, in front of the others.
            search_seed: the seed of the search, which confirms nothing.
        """
        assert self.search is not None
        wanted = self.search.confirm.seeds or len(self.seed_list)
        most = wanted.at_most if isinstance(wanted, SeedsUntilDecided) else wanted
        own = [seed for seed in self.seed_list if seed not in (search_seed, *before)]
        unused = unused_seeds([*self.seed_list, search_seed, *before])
        return (*before, *islice(chain(own, unused), max(most - len(before), 0)))
