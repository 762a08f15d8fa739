"""The paragraph about a study's methods: it says what the runs have, and nothing else."""

from collections.abc import Callable

from support.handwritten import Writer

from study.results.read import read_study
from study.results.render import render
from study.results.table import table_of
from study.tracking import schema

pytest_plugins = ("support.handwritten",)

NewStudy = Callable[..., Writer]


def test_it_names_student_methods_teacher_and_seeds(uri: str, mnist: str) -> None:
    methods = table_of(read_study(uri, mnist)).methods
    assert "by noisy teacher, and compared with the baseline logit regression" in methods
    assert "lenet-mnist (test error 0.71%)" in methods
    assert "5 seeds" in methods
    assert "the rule guarded-dunnett:" in methods
    assert "Lan-DeMets" not in methods, "only studies in rounds have looks"


def test_rounds_margins_and_varied_teachers_are_named(uri: str, new_study: NewStudy) -> None:
    study = new_study(**{schema.SEED_ROUNDS: "3,5", schema.SMALLEST_EFFECT: "5", schema.VARY: "student,teacher"})
    study.baseline({0: 0.1, 1: 0.11, 2: 0.12})
    study.arm({0: 0.1, 1: 0.12, 2: 0.11}, sigma=0.5, alpha=0.5)
    methods = table_of(read_study(uri, study.name)).methods
    assert "in rounds that ended with 3 and 5 seeds" in methods
    assert "An improvement within ± 5 % does not matter." in methods
    assert "Each seed had a teacher of its own." in methods


def test_unknown_facts_are_left_out(uri: str, mnist: str) -> None:
    methods = table_of(read_study(uri, mnist)).methods
    assert "None" not in methods
    assert "nan" not in methods
    assert "noisy-teacher-study" not in methods, "these runs have no versions"


def test_markdown_ends_with_it_and_csv_has_none(uri: str, mnist: str) -> None:
    table = table_of(read_study(uri, mnist))
    assert render(table, "md").splitlines()[-1].startswith("**Methods.** The student ")
    assert "Methods" not in render(table, "csv")
