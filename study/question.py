"""One question of a user: does a noisy teacher help *my* student on *my* images?

Works on the names of a teacher, a student and a data set. Makes two study files of them: a pilot, which measures what a
training takes and how much errors vary over seeds, and the study that answers the question. Then runs both, and returns
the verdict. Knows nothing of terminals.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from study.config import SeedsUntilDecided, StudyConfig, dump_study, parse_study
from study.data.listed import seems_listed
from study.datasets import DATA_DEFAULTS
from study.errors import UserError
from study.launch import run_study
from study.lookup import exists_already, study_of
from study.planning.overview import arms_of_students
from study.results import frames
from study.results.power import DEFAULT_EFFECT, Spread, as_text, planned_plans, plans_of
from study.results.read import TrackedStudy, read_study
from study.results.report import verdict_of
from study.results.row_words import arm_words
from study.results.rows import Table
from study.results.table import table_of
from study.results.wording import count
from study.running.estimate import cost_lines
from study.running.service import Settings
from study.running.watcher import Watcher
from study.storage import write_whole
from study.tracking import schema

READINGS = ("equation_2", "section_4_1", "section_5_2")
"""The readings of the paper that are tried: noise relative to each logit, noise of the same size for all logits, and
noise that stays the same for an image."""

SIGMAS = (0.3, 0.9)
"""Their sizes, relative to the logits."""

ALPHA = 0.5
"""The share of perturbed samples."""

PILOT_SEEDS = (1000, 1001, 1002)
"""The study never trains them: what the pilot showed cannot influence its verdicts."""

NOISY = "noisy_teacher"

SEEDS = {"first": 3, "at_most": 20, "until": "decided"}
SMALLEST_EFFECT = 5
"""Per cent of the baseline's error. The study stops an arm that is shown to differ by less."""

ARRAYS = (".npz", ".parquet")
"""File names of the data set `arrays`. A folder with metadata.csv or Parquet files is one, too; any other path is an
`image_folder`."""

_HEADER = """\
# {name}: does a noisy teacher help {student}?
#
# Written by `noisy-study try`. Change it and run it under another name, or extend it:
#
#   noisy-study run {name}.yaml --name another
#   noisy-study extend {name} --set budget.hours=8
"""


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        teacher, student: names of the zoo, lines of notation, or the user's own networks (`mine.py:Net`).
        data: a data set's name, or the path of pictures or arrays.
        weights: of the teacher; None trains it.
        size: pictures are resized and cropped to it; None leaves them.
        hours: of training time, summed over all trainings, including those of the pilot.
        name: of the study; None makes one of the student's name.
        overrides: `dotted.key=YAML value`, for both study files.
    """

    teacher: str
    student: str
    data: str
    weights: str | None = None
    size: int | None = None
    hours: float = 2.0
    name: str | None = None
    overrides: tuple[str, ...] = ()

    @property
    def study_name(self) -> str:
        """The name of the study; the pilot's is the same with `-pilot`."""
        if self.name is not None:
            return self.name
        word = self.student.rpartition(":")[2]
        return f"try-{re.sub(r'[^A-Za-z0-9]+', '-', word).strip('-').lower()[:60]}"

    def pilot(self) -> StudyConfig:
        """The study file of the pilot: the baseline and one noisy arm over three seeds.

        Raises:
            UserError: the question has a mistake.
        """
        arm = {"method": NOISY, "sigma": SIGMAS[0], "alpha": ALPHA}
        document = self._shared(f"{self.study_name}-pilot") | {"arms": [arm], "seeds": list(PILOT_SEEDS)}
        return parse_study(yaml.safe_dump(document), f"{self.study_name}-pilot", self.overrides)

    def study_file(self, hours: float) -> str:
        """The study file that answers the question, for people to read and change.

        Args:
            hours: the budget that is left.
        """
        noisy: dict[str, Any] = {"method": NOISY, "alpha": ALPHA, "sigma": list(SIGMAS)}
        arms = [
            {**noisy, "reading": reading, **({"sigma_unit": "logit_rms"} if reading == "section_4_1" else {})}
            for reading in READINGS
        ]
        document = self._shared(self.study_name) | {
            "arms": [*arms, {"method": "soft_targets"}],
            "seeds": SEEDS,
            "smallest_effect": SMALLEST_EFFECT,
            "budget": {"hours": round(hours, 3)},
        }
        config = parse_study(yaml.safe_dump(document), self.study_name, self.overrides)
        return _HEADER.format(name=self.study_name, student=self.student) + dump_study(config)

    def _shared(self, name: str) -> dict[str, Any]:
        teacher = {"network": self.teacher} | ({} if self.weights is None else {"weights": self.weights})
        return {"name": name, "data": self._data(), "teachers": [teacher], "student": {"network": self.student}}

    def _data(self) -> dict[str, Any]:
        size = {} if self.size is None else {"size": self.size}
        if self.data in DATA_DEFAULTS:
            return {"name": self.data, **size}
        if not Path(self.data).exists():
            raise UserError(
                f"--data {self.data}: no such file or folder, and no data set has this name; known: "
                f"{', '.join(DATA_DEFAULTS)}"
            )
        is_arrays = self.data.endswith(ARRAYS) or seems_listed(Path(self.data))
        return {"name": "arrays" if is_arrays else "image_folder", "path": self.data, **size}


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        name: of the study.
        study_file: where it is.
        tracked: the study.
        sentence: the verdict.
    """

    name: str
    study_file: Path
    tracked: TrackedStudy
    sentence: str


def answer(
    question: Question,
    settings: Callable[[str], Settings],
    watching: Callable[[StudyConfig], AbstractContextManager[Watcher]],
    say: Callable[[str], None],
) -> Answer:
    """Run the pilot and the study, or resume them.

    Args:
        question: what is asked.
        settings: where a study of a given name runs.
        watching: gives the watcher of a study.
        say: takes one line for each thing that the user should know before the study starts.

    Raises:
        UserError: the question has a mistake, or a study of this name answers another question; nothing was changed.
        StudyFailed, KeyboardInterrupt: as `study.launch.run_study`. The same call resumes what was interrupted.
    """
    pilot, file = question.pilot(), Path(f"{question.study_name}.yaml")
    # Everything that can be wrong with the second file is found before the pilot trains.
    question.study_file(question.hours)
    measured = _run(pilot, settings(pilot.name), watching, say)
    hours = _hours(measured)
    left = question.hours - hours
    if not file.exists():
        if left <= 0:
            raise UserError(
                f"the pilot took {hours:.2g} of {question.hours:g} hours of training, so no time is left for the "
                "study; raise --hours, or train fewer epochs: --set train.epochs=20"
            )
        text = question.study_file(left)
        write_whole(file, lambda path: path.write_text(text, encoding="utf-8"))
        say(f"wrote {file}, the study file")
    config = study_of(str(file))
    for line in _forecast(measured, config, settings(config.name).root):
        say(line)
    tracked = _run(config, settings(config.name), watching, say)
    return Answer(config.name, file, tracked, f"{noise_verdict(table_of(tracked))} {verdict_of(tracked).sentence}")


def noise_verdict(table: Table) -> str:
    """Whether any noisy teacher of a table helps, in one sentence."""
    noisy = [row for row in table.rows if row.arm.role == "arm" and row.arm.method == NOISY]
    better = [row for row in noisy if row.verdict == "better"]
    if better:
        best = max(better, key=lambda row: row.improvement_percent or 0)
        return (
            f"A noisy teacher helps: {arm_words(best)} has {best.improvement_percent:.3g} % fewer errors than plain "
            f"distillation ({count(len(better), 'noisy arm')} of {len(noisy)} better)."
        )
    is_open = [row for row in noisy if row.verdict not in ("worse", "no_difference_that_matters")]
    if is_open:
        return (
            f"It is undecided whether a noisy teacher helps: no noisy arm was shown to be better, and {len(is_open)} "
            f"of {len(noisy)} have no verdict yet."
        )
    return (
        f"A noisy teacher does not help: all {len(noisy)} noisy arms are worse, or without a difference that matters."
    )


def _run(
    config: StudyConfig,
    settings: Settings,
    watching: Callable[[StudyConfig], AbstractContextManager[Watcher]],
    say: Callable[[str], None],
) -> TrackedStudy:
    study = config.name if exists_already(config, settings.root) else config
    run_study(study, settings, watching(config), say=say)
    return read_study(settings.tracking_uri, config.name)


def _hours(measured: TrackedStudy) -> float:
    """The hours of training of a study, its teachers included."""
    seconds = (
        frames.number(runs, f"metrics.{schema.TRAIN_SECONDS}").sum() for runs in (measured.trials, measured.teachers)
    )
    return float(sum(seconds)) / 3600


def _forecast(pilot: TrackedStudy, config: StudyConfig, root: Path) -> list[str]:
    """What the study costs and what it can detect, by the spread and the seconds that the pilot measured."""
    lines = cost_lines(config, root)
    measured = plans_of(pilot, DEFAULT_EFFECT)
    if not measured:
        return lines
    spread = Spread(measured[0].spread.of_difference, f"of the pilot {pilot.name}, upper 80 % limit")
    first = config.seeds.first if isinstance(config.seeds, SeedsUntilDecided) else len(config.seed_list)
    plans = planned_plans(arms_of_students(config), first, spread, DEFAULT_EFFECT)
    plans = [replace(plan, hours_per_training=measured[0].hours_per_training) for plan in plans]
    return [*lines, *as_text(plans).splitlines()]
