"""Stored results, weights and logits that are not as they were written are not used."""

import json

import pytest
import torch
from support.damage import flip_in_the_middle, flipped, write_as_before
from support.small_trials import LOGITS, Trials, numbers_of, same_weights, student, teacher, to_the_end

from study.digests import CHANGED, Damaged
from study.distill.logit_store import LogitStore
from study.running.result import read_result

pytest_plugins = ("support.small_trials",)


@pytest.mark.parametrize("changed", [(b'"val_error":0.', b'"val_error":1.'), (b'"best_epoch":', b'"best_epoch":1')])
def test_a_digit_changed_in_a_result_is_not_believed(trials: Trials, changed: tuple[bytes, bytes]) -> None:
    undisturbed = trials.run(student(), "undisturbed")
    to_the_end(undisturbed)
    run = trials.run(student())
    to_the_end(run)
    content = run.result_file.read_bytes()
    assert changed[0] in content
    run.result_file.write_bytes(content.replace(*changed, 1))
    again = trials.run(student())
    reports = to_the_end(again)
    assert reports[0].messages == (f"{run.result_file}: {CHANGED}; the trial runs again",)
    assert numbers_of(reports[-1]) == numbers_of(to_the_end(undisturbed)[-1])
    assert same_weights(undisturbed, again)


def test_every_flipped_bit_of_a_result_is_noticed(trials: Trials) -> None:
    run = trials.run(student())
    (*_, report) = to_the_end(run)
    content = run.result_file.read_bytes()
    for place in range(0, len(content), 5):
        run.result_file.write_bytes(flipped(content, place, place % 7))
        try:
            assert read_result(run.result_file).report == report
            assert place < 100  # where a flip hides that there is a digest, the result is what it was
        except Damaged:
            continue


def test_a_result_of_an_earlier_version_is_read(trials: Trials) -> None:
    run = trials.run(student())
    (*_, report) = to_the_end(run)
    document = json.loads(run.result_file.read_bytes())
    del document["digest"], document["threads"]
    run.result_file.write_text(json.dumps(document))
    write_as_before(run.weights_file)
    assert trials.run(student()).step() == report


@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_a_trial_with_damaged_weights_is_trained_again(trials: Trials, kind: str) -> None:
    trial = student() if kind == "student" else teacher()
    run = trials.run(trial)
    expected = to_the_end(run)[-1]
    weights = run.weights_file.read_bytes()
    flip_in_the_middle(run.weights_file)
    reports = to_the_end(trials.run(trial))
    assert reports[0].messages == (f"{run.weights_file}: {CHANGED}; the trial runs again",)
    assert numbers_of(reports[-1]) == numbers_of(expected)
    assert run.weights_file.read_bytes() == weights


def test_a_teacher_of_which_nothing_is_left_is_trained_again(trials: Trials) -> None:
    run = trials.run(teacher(), "teacher")
    to_the_end(run)
    logits = trials.logits
    assert logits is not None
    run.weights_file.unlink()
    assert len(to_the_end(trials.run(teacher(), "teacher"))) == 1  # its logits are there
    flip_in_the_middle(LogitStore(trials.folder / "logits").path(LOGITS))
    assert len(to_the_end(trials.run(teacher(), "teacher"))) == 5
    assert trials.logits is not None
    assert torch.equal(trials.logits, logits)
