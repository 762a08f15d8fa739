"""A study whose seeds train teachers of their own: its rows, its notes, and the teachers of its best student."""

from pathlib import Path

import pytest
import torch
from support.ran import Ran, ran_study, small_study

from study.export.weights import open_teachers
from study.results.rows import Table
from study.results.table import table_of

pytest_plugins = ("support.ran",)


@pytest.fixture(scope="module")
def varied(ran_folder: Path) -> Ran:
    """Real trainings: two teachers, one for each seed."""
    return ran_study(small_study(name="varied", vary=["student", "teacher"]), ran_folder, ran_folder)


@pytest.fixture(scope="module")
def table(varied: Ran) -> Table:
    return table_of(varied.tracked)


def test_an_arm_is_one_row_over_its_teachers(table: Table) -> None:
    assert [(row.arm.role, row.n, row.n_planned) for row in table.rows] == [
        ("baseline", 2, 2),
        ("arm", 2, 2),
        ("arm", 2, 2),
    ]
    assert len({row.arm.teacher_key for row in table.rows}) == 1
    assert all(row.teacher_label is None for row in table.rows)


def test_the_notes_say_what_the_intervals_speak_of(table: Table, ran: Ran) -> None:
    said, before = " ".join(table.notes), " ".join(table_of(ran.tracked).notes)
    assert "each seed trains teachers of its own); the data split is the same for all seeds" in said
    assert "teacher and data split are the same for all seeds" in before
    assert "teacher and data split" not in said


def test_the_note_on_a_teacher_covers_its_seeds(varied: Ran, table: Table) -> None:
    errors = sorted(varied.tracked.teachers["metrics.test_error"])
    (note,) = [note for note in table.notes if note.startswith("Teacher")]
    assert len(errors) == 2
    assert f"the mean of 2 seeds ({errors[0]:.2%} to {errors[1]:.2%})".replace("%", " %") in note


def test_the_best_student_has_the_teacher_of_its_seed(varied: Ran) -> None:
    """Its teacher errs as the teacher run of that seed says, and the two teachers err differently."""
    opened = varied.opened()
    (teacher,) = open_teachers(opened, varied.root, varied.data_root)
    with torch.no_grad():
        predicted = teacher.network(torch.from_numpy(opened.images)).argmax(dim=1).numpy()
    runs = varied.tracked.teachers
    tracked = dict(zip(runs["params.seed"].astype(int), runs["metrics.test_error"], strict=True))
    assert len(set(tracked.values())) == 2
    assert (predicted != opened.labels).mean() == pytest.approx(tracked[opened.choice.seed])
