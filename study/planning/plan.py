"""From a study file to the trainings it asks for.

Pure functions on config models. Knows nothing of who runs the trainings or where.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, TypeVar, get_args

from models.own_code import is_own
from study.config import (
    DEFAULT_COMBINATION,
    ArmConfig,
    Combination,
    Role,
    StudyConfig,
    TeacherConfig,
    TrainConfig,
    TrialConfig,
    teacher_trial,
)
from study.config.methods import settings_of
from study.methods import NOISE_SETTINGS, method_named
from study.planning.keys import ANY_SEED, NO_DIGESTS, training_key
from study.stages import CONFIRM, GRID, SEARCH, Stage

T = TypeVar("T")

Target = tuple[tuple[TeacherConfig, ...], Combination]
"""What a network learns from: its teachers, and how they are combined."""


def nowhere(trial: TrialConfig) -> bool:
    """No training was planned elsewhere."""
    return False


def teacher_trials(config: StudyConfig) -> list[TrialConfig]:
    """One training for each different teacher of the study and its arms, and for each of their own teachers.

    A teacher comes after its own teachers, else in order of appearance.
    """
    return [trial for level in teacher_levels(config) for trial in level]


def teacher_levels(config: StudyConfig, seeds: Sequence[int] | None = None) -> list[list[TrialConfig]]:
    """The teachers' trainings, level by level: those of one level need only the logits of levels before it.

    Args:
        config: the study.
        seeds: of students, if each brings a teacher of its own; None: all of them.
    """
    teachers = _trainings(
        teacher_trial(each)
        for group in trained_groups(config, seeds)
        for teacher in group
        for each in _with_own(teacher)
    )
    heights = [_height(teacher) for teacher in teachers]
    return [
        [teacher for teacher, height in zip(teachers, heights, strict=True) if height == level]
        for level in range(max(heights) + 1)
    ]


def targets(config: StudyConfig, seeds: Sequence[int] | None = None) -> list[Target]:
    """Everything that a student of the study learns from: teachers as they are trained.

    A search may propose any combination of the study's own teachers.

    Args:
        config: the study.
        seeds: as in `teacher_levels`.
    """
    found: list[Target] = [(config.teachers, DEFAULT_COMBINATION)]
    for arm in (config.baseline, *config.arms):
        if method_named(arm.method).has_teachers:
            found += [(arm.teachers or config.teachers, how) for how in arm.combine or (DEFAULT_COMBINATION,)]
    if config.search is not None:
        found += [(config.teachers, how) for how in get_args(Combination)]
    return _unique((trained, how) for teachers, how in found for trained in _as_trained(config, teachers, seeds))


def teacher_groups(config: StudyConfig) -> list[tuple[TeacherConfig, ...]]:
    """Every combination of teachers that a student of the study learns from, as the study file has them."""
    return _unique([config.teachers, *(arm.teachers for arm in (config.baseline, *config.arms) if arm.teachers)])


def own_code(config: StudyConfig, proposed: Sequence[ArmConfig] = ()) -> list[str]:
    """Every reference to code of the user that the study file has, in order.

    Args:
        config: the study.
        proposed: arms that its search proposes.
    """
    found = [config.student.network]
    for arm in (config.baseline, *config.arms, *proposed):
        found += [arm.method, *(arm.student.network if arm.student is not None else ()), *_forms(arm)]
    for teacher in (teacher for group in teacher_groups(config) for one in group for teacher in _with_own(one)):
        found += [teacher.network, teacher.method or "", *_forms(teacher)]
    return list(dict.fromkeys(filter(is_own, found)))


def _forms(part: ArmConfig | TeacherConfig) -> list[str]:
    """The forms of noise that an arm or a teacher names."""
    noise = settings_of(part)["noise"] or ()
    return [each.form for each in (noise if isinstance(noise, tuple) else (noise,))]


def trained_groups(config: StudyConfig, seeds: Sequence[int] | None = None) -> list[tuple[TeacherConfig, ...]]:
    """The same combinations as they are trained: one for each seed, where a seed brings a teacher of its own.

    Args:
        config: the study.
        seeds: as in `teacher_levels`.
    """
    return [trained for group in teacher_groups(config) for trained in _as_trained(config, group, seeds)]


def teacher_designs(config: StudyConfig, digests: Mapping[str, str] = NO_DIGESTS) -> dict[str, TeacherConfig]:
    """The teacher of the study file that a teacher's training is of, by the key of the training.

    Args:
        config: the study.
        digests: as in `study.planning.keys.training_key`.
    """
    return {
        training_key(teacher_trial(trained), digests): design
        for group in teacher_groups(config)
        for of_seed in _as_trained(config, group)
        for whole, of_whole in zip(group, of_seed, strict=True)
        for design, trained in zip(_with_own(whole), _with_own(of_whole), strict=True)
    }


def _as_trained(
    config: StudyConfig, teachers: tuple[TeacherConfig, ...], seeds: Sequence[int] | None = None
) -> list[tuple[TeacherConfig, ...]]:
    if not config.varies_teacher:
        return [teachers]
    return [
        tuple(teacher.of_seed(seed) for teacher in teachers) for seed in (config.all_seeds if seeds is None else seeds)
    ]


def over_one_seed(config: StudyConfig) -> StudyConfig:
    """The study with the same settings and one seed, for what does not depend on a training's seed."""
    fixed = config.fixed_seeds
    if fixed is not None:
        fixed = fixed.model_copy(update={"confirmation": fixed.confirmation[:1]})
    return config.model_copy(update={"seeds": config.seed_list[:1]}).with_seeds(fixed)


def grid_trials(config: StudyConfig, elsewhere: Callable[[TrialConfig], bool] = nowhere) -> list[TrialConfig]:
    """The baseline of every student, then every point of every arm, each over all seeds.

    Args:
        config: the study.
        elsewhere: whether the confirmation has a training of a baseline already. It is not trained again in the grid.

    Empty where the study has no arms: then the baseline belongs to the confirmation of the search. Points with equal
    training keys are one training: an arm with α = 0 or σ = 0 is the baseline, and is not trained again.
    """
    if not config.arms:
        return []
    arms = [trial for arm in config.arms for trial in expand(config, arm, GRID, "arm", config.seed_list)]
    points = expand(config, config.baseline, GRID, "baseline", config.seed_list)
    baselines = _for_students(points, _unique(trial.network for trial in arms))
    return [trial for trial in _trainings([*baselines, *arms]) if trial.role == "arm" or not elsewhere(trial)]


def count_arms(trials: Iterable[TrialConfig]) -> int:
    """How many different arms a plan has; seeds do not count."""
    return len({repr(trial.model_copy(update=ANY_SEED)) for trial in trials if trial.role == "arm"})


def confirmation_trials(
    config: StudyConfig,
    winners: Sequence[ArmConfig],
    baseline: ArmConfig | None = None,
    in_grid: Callable[[TrialConfig], bool] | None = None,
) -> list[TrialConfig]:
    """The winners of the search over the confirmation's seeds, and the baselines that the grid does not have.

    Args:
        config: the study.
        winners: arms of one point each.
        baseline: the winner of the baseline's own search; without one, the study's baseline as it is.
        in_grid: whether the grid has a training of the baseline; by default those that the study file plans.
    """
    seeds = config.confirmation_seeds
    arms = [trial for winner in winners for trial in expand(config, winner, CONFIRM, "arm", seeds)]
    points = expand(config, baseline or config.baseline, CONFIRM, "baseline", seeds)
    # Where no arm was found, the baseline is confirmed alone: that is what the table has to say.
    students = _unique(trial.network for trial in arms) or [config.student.network]
    baselines = _for_students(points, students)
    if in_grid is None:
        done = {(trial.network, trial.seed) for trial in grid_trials(config) if trial.role == "baseline"}
        missing = [trial for trial in baselines if (trial.network, trial.seed) not in done]
    else:
        missing = [trial for trial in baselines if not in_grid(trial)]
    return _trainings([*missing, *arms])


def search_trial(config: StudyConfig, arm: ArmConfig, role: Role = "arm") -> TrialConfig:
    """The one training by which a search judges what it proposes: an arm, or settings for the baseline.

    Raises:
        ValueError: the arm is a grid of several points, or has teachers that the study does not train.
    """
    trained = config.baseline.teachers if role == "baseline" else None
    if arm.teachers not in (None, config.teachers, trained):
        raise ValueError("a search space proposes no `teachers` of its own: the study's are trained before it begins")
    points = expand(config, arm, SEARCH, role, [config.search_seed])
    if len(points) != 1:
        raise ValueError(f"a search space proposes one point at a time, not {len(points)}")
    return points[0]


def is_the_baseline(config: StudyConfig, point: TrialConfig) -> bool:
    """Whether a point of the arms' search is no arm, but a training that the baseline has or may have.

    It is one where the baseline of the point's student, over the same seed, is the same training. Where the baseline is
    searched, its settings of `search.train` are not known yet: then it is compared with those of the point.
    """
    assert config.search is not None
    (own,) = expand(config, config.baseline, SEARCH, "baseline", [point.seed])
    searched = config.search.train if config.baseline.search is not None else ()
    train = own.train.model_copy(update={setting: getattr(point.train, setting) for setting in searched})
    return training_key(own.model_copy(update={"network": point.network, "train": train})) == training_key(point)


def with_training(arm: ArmConfig, settings: Mapping[str, Any]) -> ArmConfig:
    """An arm with training settings that a search proposes.

    Raises:
        ValueError: the arm has one of them itself.
    """
    own = set(arm.train or {}) | ({"weight_decay"} if arm.weight_decay is not None else set())
    if taken := own & set(settings):
        raise ValueError(f"the space proposes `{min(taken)}`, which `search.train` searches too")
    train = {**(arm.train or {}), **{key: (value,) for key, value in settings.items()}}
    return arm.model_copy(update={"train": train or None})


def expand(config: StudyConfig, arm: ArmConfig, stage: Stage, role: Role, seeds: Sequence[int]) -> list[TrialConfig]:
    """Every point of an arm's grid over the seeds, seeds innermost."""
    method, train = method_named(arm.method), arm.train or {}
    given = settings_of(arm)
    own = {name: given.get(name) or (None,) for name in method.model_fields}
    # Noise varies fastest, so that the arms of one table block stand together.
    noise = {name: own.pop(name) for name in reversed(NOISE_SETTINGS) if name in own}
    grid: dict[str, Sequence[Any]] = {
        "network": arm.student.network if arm.student is not None else (config.student.network,),
        "combine": arm.combine or (DEFAULT_COMBINATION,),
        "dropout": arm.dropout or (0.0,),
        "weight_decay": arm.weight_decay or (config.train.weight_decay,),
        **own,
        "train": [dict(zip(train, values, strict=True)) for values in product(*train.values())],
        **noise,
        "seed": seeds,
    }
    points = (dict(zip(grid, values, strict=True)) for values in product(*grid.values()))
    return [
        TrialConfig(
            stage=stage,
            role=role,
            network=point["network"],
            method=arm.method,
            teachers=(arm.teachers or config.teachers) if method.has_teachers else (),
            combine=point["combine"],
            **method.completed(point),
            dropout=point["dropout"],
            train=_train(config.train, {"weight_decay": point["weight_decay"], **point["train"]}),
            seed=point["seed"],
            teacher_seed=point["seed"] if config.varies_teacher and method.has_teachers else None,
        )
        for point in points
    ]


def _for_students(points: Sequence[TrialConfig], students: Iterable[str]) -> list[TrialConfig]:
    """The same trainings for every student."""
    return _unique(point.model_copy(update={"network": student}) for student in students for point in points)


def _with_own(teacher: TeacherConfig) -> Iterable[TeacherConfig]:
    """A teacher, then all it learns from."""
    yield teacher
    for own in teacher.teachers or ():
        yield from _with_own(own)


def _height(teacher: TrialConfig | TeacherConfig) -> int:
    """How many trainings must come before a teacher's, one after another."""
    return max((1 + _height(own) for own in teacher.teachers or ()), default=0)


def _train(study: TrainConfig, override: dict[str, Any]) -> TrainConfig:
    return TrainConfig.model_validate({**study.model_dump(), **override})


def _trainings(trials: Iterable[TrialConfig]) -> list[TrialConfig]:
    """Each different training once, in order; the first of equals stands for all."""
    found: dict[str, TrialConfig] = {}
    for trial in trials:
        found.setdefault(training_key(trial), trial)
    return list(found.values())


def _unique(items: Iterable[T]) -> list[T]:
    """Each different item once, in order; for frozen models, equal means written alike."""
    return list({repr(item): item for item in items}.values())
