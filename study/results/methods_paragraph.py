"""A paragraph about how a study was made, to paste into a paper: data, teacher, student, seeds, rule, versions.

Works on a study that was read, and on the rows of its table. Says only what the runs have.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

from study.results import frames
from study.results.read import TrackedStudy
from study.results.rows import Row
from study.results.rule import RULE
from study.results.wording import count, method_words, plain
from study.tracking import schema

_LONGEST = 200
"""The most characters of a name or a value."""

_PACKAGES = {"torch": "PyTorch", "ray": "Ray", "optuna": "Optuna", "mlflow": "MLflow", "python": "Python"}

_TRAINING = {
    "epochs": "at most {} epochs",
    "optimizer": "the optimiser {}",
    "lr": "a learning rate of {}",
    "batch_size": "mini-batches of {}",
    "schedule": "the schedule {}",
}
"""Parameters of a training that a paper gives, and how to say them."""


def methods_paragraph(tracked: TrackedStudy, rows: Sequence[Row], rule: str) -> str:
    """The paragraph, in plain sentences.

    Args:
        tracked: the study.
        rows: of its table.
        rule: that gave the verdicts.
    """
    sentences = [
        _students(tracked, rows),
        _teachers(tracked),
        _training(tracked),
        _seeds(tracked, rows),
        "The weights of the epoch with the lowest validation error were kept. The test error was measured once, with "
        "these weights.",
        _statistics(tracked, rows, rule),
        _software(tracked),
    ]
    return " ".join(filter(None, sentences))


def _students(tracked: TrackedStudy, rows: Sequence[Row]) -> str:
    students = _listed(dict.fromkeys(plain(row.arm.student, _LONGEST) for row in rows))
    methods = _listed(dict.fromkeys(method_words(row.arm.method) for row in rows if row.arm.role == "arm"))
    baseline = _listed(dict.fromkeys(method_words(row.arm.method) for row in rows if row.arm.role == "baseline"))
    data = plain(tracked.params.get(schema.DATASET, ""), _LONGEST)
    on = f" on {data}" if data else ""
    against = f", and compared with the baseline {baseline}" if baseline else ""
    return f"The student {students} was trained{on} by {methods or 'no method'}{against}." if students else ""


def _teachers(tracked: TrackedStudy) -> str:
    teachers = tracked.teachers
    if teachers.empty or f"params.{schema.TEACHER}" not in teachers:
        return ""
    errors = frames.number(teachers, f"metrics.{schema.TEST_ERROR}")
    named = [
        f"{plain(str(name), _LONGEST)}" + ("" if pd.isna(error) else f" (test error {error:.2%})")
        for name, error in zip(teachers[f"params.{schema.TEACHER}"], errors, strict=True)
    ]
    return f"It learned from {_listed(dict.fromkeys(named[:5]))}."


def _training(tracked: TrackedStudy) -> str:
    said = []
    for name, words in _TRAINING.items():
        values = tracked.trials.get(f"params.{name}")
        known = [] if values is None else list(dict.fromkeys(values.dropna()))
        if len(known) == 1 and known[0] != "constant":
            said.append(words.format(plain(str(known[0]), _LONGEST)))
    return f"All students were trained with {_listed(said)}." if said else ""


def _seeds(tracked: TrackedStudy, rows: Sequence[Row]) -> str:
    numbers = sorted({row.n for row in rows if row.n})
    if not numbers:
        return ""
    fewest, most = numbers[0], numbers[-1]
    each = count(fewest, "seed") if fewest == most else f"{fewest} to {most} seeds"
    rounds = tracked.params.get(schema.SEED_ROUNDS)
    looks = ""
    if rounds is not None:
        ends = _listed(plain(end, _LONGEST) for end in rounds.split(","))
        looks = f", in rounds that ended with {ends} seeds until its verdict was decided"
    own_teachers = "teacher" in tracked.params.get(schema.VARY, "").split(",")
    same = "Each seed had a teacher of its own" if own_teachers else "The teacher was the same for all seeds"
    return (
        f"Each arm had {each}{looks}. A seed fixes initial weights, the order of the samples, dropout and noise. "
        f"{same}. Arms and baseline were compared seed by seed."
    )


def _statistics(tracked: TrackedStudy, rows: Sequence[Row], rule: str) -> str:
    arms = sum(row.arm.role == "arm" for row in rows)
    if not rule.startswith(RULE):
        return ""
    looks = " The looks after each round shared the 5 % by Lan-DeMets spending." if rule != RULE else ""
    effect = tracked.params.get(schema.SMALLEST_EFFECT)
    margin = f" An improvement within ± {plain(effect, _LONGEST)} % does not matter." if effect else ""
    return (
        f"An arm was called better or worse by the rule {plain(rule)}: a simultaneous Dunnett interval over "
        f"{count(arms, 'arm')} at 95 %, guarded by the arm's own paired t-test.{looks}{margin}"
    )


def _software(tracked: TrackedStudy) -> str:
    versions = {
        words: plain(tracked.tags[tag], _LONGEST)
        for package, words in _PACKAGES.items()
        if (tag := f"{schema.VERSION}{package}") in tracked.tags
    }
    own = tracked.tags.get(f"{schema.VERSION}noisy-teacher-study")
    if own is None:
        return ""
    commit = plain(tracked.tags.get(schema.COMMIT, "").removesuffix(schema.DIRTY))[:12]
    at = f" (commit {commit})" if commit else ""
    others = f" with {_listed(f'{name} {version}' for name, version in versions.items())}" if versions else ""
    return f"The study was run by noisy-teacher-study {plain(own)}{at}{others}."


def _listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`; nothing of no words."""
    *first, last = [*words] or [""]
    return f"{', '.join(first)} and {last}" if first else last
