"""What a study file consists of, in one row: for lists of recipes.

Works on a study file. Knows nothing of terminals.
"""

from dataclasses import dataclass

from study.config import StudyConfig
from study.planning import plan
from study.planning.growth import grid_rounds


@dataclass(frozen=True)
class Overview:
    """One study file in a few words.

    Attributes:
        name: of the recipe or file.
        dataset: the data set's name.
        teachers, students: networks, joined by commas.
        trials: how many points, seeds and search trials.
        reproduces: the published table that it reproduces; empty if there is none.
    """

    name: str
    dataset: str
    teachers: str
    students: str
    trials: str
    reproduces: str


def overview_of(name: str, config: StudyConfig) -> Overview:
    """Count the trials of a study file and list its networks."""
    grid = plan.grid_trials(config)
    rounds, most = grid_rounds(config), len(config.seed_list)
    seeds = f"{most}" if rounds is None else f"{rounds.ends[0]} to {most}"
    trials = [f"{len(grid) // most} points × {seeds} seeds"] if grid else []
    if config.search is not None:
        trials.append(f"{config.search.trials} searched")
    return Overview(
        name=name,
        dataset=config.data.name,
        teachers=", ".join(
            trial.network for trial in plan.teacher_trials(config.model_copy(update={"vary": ("student",)}))
        ),
        students=", ".join(dict.fromkeys([config.student.network, *(trial.network for trial in grid)])),
        trials=" + ".join(trials),
        reproduces=config.published or "",
    )


def arms_of_students(config: StudyConfig) -> dict[str, int]:
    """How many points the arms of a study file's grid have, by student; the baseline is none of them."""
    points: dict[str, set[str]] = {}
    for trial in plan.grid_trials(config):
        if trial.role == "arm":
            settings = trial.model_dump_json(exclude={"seed", "teacher_seed"})
            points.setdefault(trial.network, set()).add(settings)
    return {student: len(of_student) for student, of_student in points.items()}
