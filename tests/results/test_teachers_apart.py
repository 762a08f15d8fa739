"""Teachers of one name that differ in anything are different teachers, wherever results are grouped or named."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import Field
from support.handwritten import Writer
from support.sheet import Sheet

from study.config import TrainConfig, TrialConfig
from study.results.columns import for_people, subtitle
from study.results.figures import curves, error_over_noise, gap, noise_lines, trial_map
from study.results.figures.chosen import by_validation
from study.results.formats.json import as_json
from study.results.read import read_study
from study.results.report import verdict
from study.results.row_words import arm_words
from study.results.rows import Table
from study.results.table import build_table, table_of
from study.results.teachers import labels_apart
from study.tracking import schema
from study.tracking.names import Cost, run_params

pytest_plugins = ("support.handwritten",)

NewStudy = Callable[..., Writer]
LONG, SHORT, DECAYED = "1" * 32, "2" * 32, "3" * 32
SETTINGS: dict[str, dict[str, Any]] = {
    LONG: {"epochs": 6, "weight_decay": "0.0"},
    SHORT: {"epochs": 1, "weight_decay": "0.0"},
    DECAYED: {"epochs": 6, "weight_decay": 0.1},
}
LABELS = {
    LONG: "digits-cnn (epochs 6, weight_decay 0)",
    SHORT: "digits-cnn (epochs 1, weight_decay 0)",
    DECAYED: "digits-cnn (epochs 6, weight_decay 0.1)",
}
ERRORS = {LONG: (0.230, 0.226, 0.231), SHORT: (0.392, 0.394, 0.390), DECAYED: (0.898, 0.900, 0.899)}


@pytest.fixture
def study(new_study: NewStudy) -> Writer:
    """Three arms that differ in their teacher alone, and all teachers have one name."""
    study = new_study(seeds="0,1,2")
    for error, (key, settings) in enumerate(SETTINGS.items(), 1):
        study.teacher("digits-cnn", error / 10, teacher_key=key, **settings)
    study.baseline({0: 0.23, 1: 0.24, 2: 0.235}, teacher="digits-cnn", teacher_key=LONG)
    for key, errors in reversed(ERRORS.items()):
        study.arm(dict(enumerate(errors)), teacher="digits-cnn", teacher_key=key, sigma=0.3, alpha=0.5)
    return study


def cells(table: Table, heading: str) -> list[str]:
    (column,) = (column for column in for_people(table) if column.heading == heading)
    return [column.cell(row) for row in table.rows]


def test_three_teachers_of_one_name_are_three_rows(uri: str, study: Writer) -> None:
    table = build_table(uri, study.name)
    arms = [row for row in table.rows if row.arm.role == "arm"]
    assert [(row.arm.teacher_key, row.n) for row in arms] == [(LONG, 3), (SHORT, 3), (DECAYED, 3)], (
        "as they were trained"
    )
    assert [row.test_error_mean for row in arms] == pytest.approx([sum(errors) / 3 for errors in ERRORS.values()])
    assert "for the 3 arms of this table" in " ".join(table.notes)
    assert [row["teacher_key"] for row in as_json(table)["rows"]] == [LONG, LONG, SHORT, DECAYED]
    assert "teacher_label" not in as_json(table)["rows"][0]


def test_people_read_what_tells_the_teachers_apart(uri: str, study: Writer) -> None:
    table = build_table(uri, study.name)
    assert cells(table, "teacher") == [LABELS[LONG], LABELS[LONG], LABELS[SHORT], LABELS[DECAYED]]
    assert "teacher" not in subtitle(table)
    assert [note for note in table.notes if note.startswith("Teacher")] == [
        f"Teacher {LABELS[LONG]}: test error 10.00 %.",
        f"Teacher {LABELS[SHORT]}: test error 20.00 %.",
        f"Teacher {LABELS[DECAYED]}: test error 30.00 %.",
    ]
    assert arm_words(table.rows[2]).endswith(f"teacher {LABELS[SHORT]}")
    tracked = read_study(uri, study.name)
    assert LABELS[LONG] in verdict(table, by_validation(tracked)).sentence


def test_one_teacher_is_called_by_its_name_alone(uri: str, new_study: NewStudy) -> None:
    study = new_study()
    study.teacher("digits-cnn", 0.1, teacher_key=LONG, epochs=6)
    study.teacher("digits-cnn", 0.1, teacher_key=LONG, epochs=6)
    study.baseline({0: 0.1}, teacher="digits-cnn", teacher_key=LONG)
    study.arm({0: 0.1}, teacher="digits-cnn", teacher_key=LONG, sigma=0.3, alpha=0.5)
    table = build_table(uri, study.name)
    assert "teacher digits-cnn" in subtitle(table)
    assert [row.teacher_label for row in table.rows] == [None, None]
    assert [note for note in table.notes if note.startswith("Teacher")] == ["Teacher digits-cnn: test error 10.00 %."]
    assert not [note for note in table.notes if "teacher_key" in note]


def test_runs_without_a_key_keep_their_table_and_a_note_says_so(uri: str, new_study: NewStudy) -> None:
    study = new_study()
    study.baseline({0: 0.1, 1: 0.2})
    study.arm({0: 0.1, 1: 0.2}, sigma=0.3, alpha=0.5)
    table = build_table(uri, study.name)
    assert [(row.n, row.arm.teacher_key) for row in table.rows] == [(2, None), (2, None)]
    (note,) = (note for note in table.notes if "teacher_key" in note)
    assert note.startswith("The runs of 2 rows have no `teacher_key`. If the study had several teachers of one name")


def test_a_student_of_labels_has_no_teacher_to_tell_apart(uri: str, new_study: NewStudy) -> None:
    study = new_study()
    study.baseline({0: 0.1}, teacher_key=LONG)
    study.arm({0: 0.1}, method="labels", teacher="", teacher_key="", sigma=0, alpha=0)
    table = build_table(uri, study.name)
    assert cells(table, "teacher") == ["lenet-mnist", ""]
    assert not [note for note in table.notes if "teacher_key" in note]


def test_several_teachers_of_a_student_are_told_apart_one_by_one(uri: str, new_study: NewStudy) -> None:
    study = new_study()
    study.teacher("nin", 0.1, teacher_key=LONG, epochs=6)
    study.teacher("nin", 0.1, teacher_key=SHORT, epochs=1)
    study.teacher("alexnet", 0.1, teacher_key=DECAYED, epochs=6)
    for key in (f"{LONG}+{DECAYED}", f"{SHORT}+{DECAYED}"):
        study.arm({0: 0.1}, teacher="nin+alexnet", teacher_key=key, sigma=0.3, alpha=0.5)
    table = build_table(uri, study.name)
    assert cells(table, "teacher") == ["nin (epochs 6)+alexnet", "nin (epochs 1)+alexnet"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["nin (key aaaaaaaa)", "nin (key bbbbbbbb)"]),
        ({"a": {"epochs": 1}, "b": {"epochs": 1}}, ["nin (key aaaaaaaa)", "nin (key bbbbbbbb)"]),
        ({"a": {"epochs": 1}}, ["nin (key aaaaaaaa)", "nin (key bbbbbbbb)"]),
        ({"a": {"epochs": 1}, "b": {"weights": "w"}}, ["nin (epochs 1, no weights)", "nin (no epochs, weights w)"]),
    ],
)
def test_no_two_teachers_are_called_the_same(settings: dict[str, Any], expected: list[str]) -> None:
    known = {letter * 32: of_key for letter, of_key in settings.items()}
    assert list(labels_apart("nin", ["a" * 32, "b" * 32], known).values()) == expected
    assert labels_apart("nin", ["a" * 32, None], known)[None] == "nin (key not known)"


# ------------------------------------------------------------------------------------- a setting that nobody listed


class NewTrain(TrainConfig):
    """A release later, trainings have one more setting."""

    label_smoothing: float = 0.0


class NewTrial(TrialConfig):
    """And so do trials."""

    mixup: float = 0.0
    train: NewTrain = Field(NewTrain())


def test_a_setting_that_nobody_listed_makes_a_row_of_its_own(uri: str, new_study: NewStudy) -> None:
    study = new_study(seeds="0,1")
    tags = {schema.KIND: "trial", schema.ROLE: "arm", schema.STAGE: "grid", schema.OUTCOME: "completed"}
    changed: tuple[dict[str, Any], ...] = ({}, {"mixup": 0.2}, {"train": NewTrain(label_smoothing=0.1)})
    for seed in (0, 1):
        for keys in changed:
            trial = NewTrial(
                stage="grid",
                role="arm",
                network="FC10",
                method="noisy_teacher",
                sigma=0.3,
                alpha=0.5,
                seed=seed,
                **keys,
            )
            study.run(tags, run_params(trial, "digits", Cost(1, 1), None), {schema.TEST_ERROR: 0.1 + seed / 10})
    table = build_table(uri, study.name)
    assert [row.n for row in table.rows] == [2, 2, 2]
    assert table.settings == ("label_smoothing", "mixup")


# --------------------------------------------------------------------------------------------------------- pictures


def sheet() -> Sheet:
    """A grid over σ and α for two teachers of one name; the one of one epoch errs more."""
    sheet = Sheet()
    for key, level in ((LONG, 0.0), (SHORT, 0.2)):
        sheet.teacher("lenet-mnist", 0.05 + level, teacher_key=key, epochs=str(SETTINGS[key]["epochs"]))
        means = {(0.1, 0.5): 0.09 + level, (0.5, 0.5): 0.11 + level, (0.5, 0.1): 0.10 + level}
        sheet.grid(means if level else {(0, 0): 0.10, **means}, teacher_key=key)
    return sheet


def test_error_over_noise_has_a_line_for_each_teacher() -> None:
    (found,) = noise_lines.noise_lines_of(table_of(sheet().tracked()))
    names = error_over_noise._names(found.lines)
    assert len(names) == len(set(names)) == 2
    assert {name.split(", ")[-1] for name in names} == {"lenet-mnist (epochs 6)", "lenet-mnist (epochs 1)"}
    error_over_noise.sketch(found, several=False, published=None).finish()


def test_a_map_shows_the_trials_of_one_teacher() -> None:
    maps = trial_map.maps_of(sheet().tracked())
    assert [found.teacher for found in maps] == ["lenet-mnist (epochs 6)", "lenet-mnist (epochs 1)"]
    assert [spot.n for found in maps for spot in found.coloured] == [3] * 6
    headings = [sketch.heading for sketch in sheet().sketches().sketches if sketch.name.startswith("sigma-alpha-map")]
    assert [heading.split(", teacher ")[1] for heading in headings] == [
        "lenet-mnist (epochs 6)",
        "lenet-mnist (epochs 1)",
    ]


def test_learning_curves_name_the_teacher_and_not_its_key() -> None:
    history = (0.5, 0.3, 0.2)
    made = Sheet()
    for key in (LONG, SHORT):
        made.teacher("lenet-mnist", 0.05, teacher_key=key, epochs=str(SETTINGS[key]["epochs"]))
        for seed in (0, 1):
            made.train(seed, 0.1, 0.1, sigma=0.3, alpha=0.5, teacher_key=key, history=history)
    (plan,) = curves.plans_of(made.tracked())
    found = curves.curves_of(plan, made.histories(plan.run_ids, schema.VAL_ERROR))
    assert found is not None
    assert [curve.label for curve in found.curves] == [
        "teacher = lenet-mnist (epochs 6)",
        "teacher = lenet-mnist (epochs 1)",
    ]


def test_the_gap_is_to_the_baselines_own_teacher() -> None:
    made = Sheet()
    for key, error in ((LONG, 0.05), (SHORT, 0.30)):
        made.teacher("lenet-mnist", error, teacher_key=key)
    for student in ("narrow", "wide"):
        made.grid({(0, 0): 0.10, (0.1, 0.5): 0.09, (0.5, 0.5): 0.11}, student=student, teacher_key=LONG)
    tracked = made.tracked()
    found = gap.gap_of(tracked, table_of(tracked), by_validation(tracked))
    assert found is not None
    assert [student.gap_points for student in found.students] == pytest.approx([5.1, 5.1], abs=0.1)
