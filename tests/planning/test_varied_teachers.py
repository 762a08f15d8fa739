"""`vary: [student, teacher]`: each seed of a study trains teachers of its own."""

from typing import Any

import pytest
from pydantic import ValidationError

from study.config import StudyConfig, TeacherConfig, dump_study, one_line, parse_study, teacher_trial
from study.planning import plan
from study.planning.keys import logits_key, teacher_key, training_key
from study.planning.overview import arms_of_students, overview_of

TEACHER: dict[str, Any] = {"network": "digits-cnn"}
ASSISTANT: dict[str, Any] = {"network": "FC64-FC10", "teachers": [TEACHER]}


def study(**keys: Any) -> StudyConfig:
    document: dict[str, Any] = {
        "name": "s",
        "data": {"name": "digits"},
        "teachers": [TEACHER],
        "student": {"network": "digits-fc32"},
        "arms": [{"method": "noisy_teacher", "sigma": [0.2, 0.8]}],
        "seeds": [4, 7],
        "vary": ["student", "teacher"],
    }
    return StudyConfig.model_validate({**document, **keys})


def teacher(document: dict[str, Any]) -> TeacherConfig:
    return TeacherConfig.model_validate(document)


def test_each_seed_trains_a_teacher() -> None:
    assert [trial.seed for trial in plan.teacher_trials(study())] == [4, 7]
    assert [trial.seed for trial in plan.teacher_trials(study(vary=["student"]))] == [0]


def test_a_student_learns_from_the_teacher_of_its_seed() -> None:
    for trial in plan.grid_trials(study()):
        assert [each.seed for each in trial.taught_by] == [trial.seed]
    fixed = plan.grid_trials(study(vary=["student"]))
    assert {each.seed for trial in fixed for each in trial.taught_by} == {0}


def test_every_target_is_made_before_the_students() -> None:
    config = study(arms=[{"method": "soft_targets", "teachers": [ASSISTANT, TEACHER], "combine": "mean_distribution"}])
    targets = plan.targets(config)
    for trial in plan.grid_trials(config):
        assert (trial.taught_by, trial.combine) in targets
    trained = {training_key(trial) for trial in plan.teacher_trials(config)}
    for teachers, _ in targets:
        assert {training_key(teacher_trial(each)) for each in teachers} <= trained


def test_a_chain_is_trained_with_the_seed_as_a_whole() -> None:
    levels = plan.teacher_levels(study(teachers=[ASSISTANT]))
    assert [[trial.seed for trial in level] for level in levels] == [[4, 7], [4, 7]]
    assert [[each.seed for each in trial.teachers] for trial in levels[1]] == [[4], [7]]


def test_the_arm_has_one_key_and_the_logits_one_for_each_seed() -> None:
    trials = [trial for trial in plan.grid_trials(study()) if trial.role == "baseline"]
    assert len({teacher_key(trial.teachers) for trial in trials}) == 1
    assert len({logits_key(teacher_trial(trial.taught_by[0]), "images") for trial in trials}) == 2
    assert teacher_key(trials[0].teachers) == teacher_key(study(vary=["student"]).teachers)


def test_both_kinds_of_study_give_one_training_one_key() -> None:
    """A student of seed 4 and a teacher of seed 4 are one training, whatever makes the study vary."""
    fixed = study(vary=["student"], teachers=[{**TEACHER, "seed": 4}])
    keys = [{training_key(trial) for trial in plan.grid_trials(each) if trial.seed == 4} for each in (fixed, study())]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 3


def test_a_varied_student_is_not_the_fixed_one() -> None:
    fixed, varied = (plan.grid_trials(study(vary=vary)) for vary in (["student"], ["student", "teacher"]))
    assert not {training_key(trial) for trial in fixed} & {training_key(trial) for trial in varied}


def test_labels_bring_no_teacher() -> None:
    config = study(baseline={"method": "labels"}, arms=[{"method": "labels", "dropout": 0.2}])
    assert {trial.teacher_seed for trial in plan.grid_trials(config)} == {None}


def test_teachers_that_differ_in_their_seed_stay_different() -> None:
    two = study(teachers=[TEACHER, {**TEACHER, "seed": 1}], seeds=list(range(20)))
    assert len(plan.teacher_trials(two)) == 40
    assert {each.seed for trial in plan.grid_trials(two) if trial.seed == 3 for each in trial.taught_by} == {3, 1000006}


def test_seeds_of_search_and_confirmation_have_teachers_too() -> None:
    config = study(arms=[], search={"trials": 3, "seed": 9, "confirm": {"seeds": 3}})
    assert sorted(trial.seed for trial in plan.teacher_trials(config)) == sorted([9, *config.confirmation_seeds])


def test_a_teachers_training_is_of_one_design() -> None:
    config = study(teachers=[ASSISTANT])
    designs = plan.teacher_designs(config)
    assert set(designs) == {training_key(trial) for trial in plan.teacher_trials(config)}
    assert set(map(repr, designs.values())) == {repr(teacher(ASSISTANT)), repr(teacher(TEACHER))}


def test_lists_name_a_teacher_once() -> None:
    assert overview_of("s", study()).teachers == "digits-cnn"
    assert arms_of_students(study()) == {"digits-fc32": 2}


def test_the_setting_is_written_and_read() -> None:
    assert parse_study(dump_study(study()), "again") == study()
    assert "vary:" in dump_study(study())


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"vary": ["teacher"]}, "vary: expected [student] or [student, teacher], not ['teacher']"),
        ({"vary": ["student", "student"]}, "vary: expected [student] or [student, teacher]"),
        ({"teachers": [{**TEACHER, "weights": "w.safetensors"}]}, "vary: no seed can train the teacher digits-cnn"),
        (
            {"arms": [{"method": "soft_targets", "teachers": [{**TEACHER, "weights": "w.safetensors"}]}]},
            "is read from `weights`",
        ),
    ],
)
def test_what_no_seed_can_vary_is_refused(keys: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        study(**keys)
    assert expected in one_line(refused.value)
