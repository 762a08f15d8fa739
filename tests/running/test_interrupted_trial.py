"""A trial whose process died resumes from its newest readable checkpoint, and ends as if nothing had happened."""

import math
from dataclasses import fields
from pathlib import Path

import pytest
from support.damage import flipped
from support.full_disk import full_disk
from support.small_trials import (
    Trials,
    numbers_of,
    same_weights,
    student,
    summary_of,
    to_the_end,
)

from study.config import TrialConfig
from study.distill.streams import Streams
from study.running.checkpoint import read_checkpoint, write_checkpoint
from study.running.trial import TrialRun, checkpoints

pytest_plugins = ("support.small_trials",)


def _some_weights(checkpoint: Path) -> bytes:
    state = read_checkpoint(checkpoint)
    weights: bytes = next(iter(state["trainer"]["network"].values())).numpy().tobytes()
    return weights


def _stopped_after(trials: Trials, steps: int, trial: TrialConfig, monkeypatch: pytest.MonkeyPatch) -> TrialRun:
    """A trial whose process died after some epochs, each of which left a checkpoint."""
    monkeypatch.setattr("study.running.trial.CHECKPOINT_COST", 0)
    run = trials.run(trial)
    for _ in range(steps):
        assert run.step().summary is None
    run.close()
    return run


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("noise", ["fresh", "frozen"])
def test_trial_resumes_where_its_process_died(
    trials: Trials, monkeypatch: pytest.MonkeyPatch, steps: int, noise: str
) -> None:
    """The resumed trial ends the same."""
    undisturbed = trials.run(student(noise=noise), "undisturbed")
    expected = to_the_end(undisturbed)[-1]
    _stopped_after(trials, steps, student(noise=noise), monkeypatch)
    second = trials.run(student(noise=noise))
    reports = to_the_end(second)
    assert len(reports) == 5 - steps
    assert numbers_of(reports[0]) == numbers_of(expected)[: steps + 1]  # nobody may know these epochs
    assert numbers_of(reports[-1]) == numbers_of(expected)
    assert same_weights(undisturbed, second)
    assert summary_of(reports[-1]).test_error == summary_of(expected).test_error


def test_an_epoch_without_a_checkpoint_is_trained_again(trials: Trials) -> None:
    """The second checkpoint waits until it costs little."""
    expected = to_the_end(trials.run(student(), "undisturbed"))[-1]
    first = trials.run(student())
    first.step()
    first._write_seconds = math.inf
    first.step()
    first.close()
    reports = to_the_end(trials.run(student()))
    assert len(reports) == 4
    assert numbers_of(reports[-1]) == numbers_of(expected)


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "one bit", "of another trial"])
def test_unreadable_checkpoint_costs_an_epoch(trials: Trials, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """A checkpoint that cannot be read costs an epoch and is named."""
    undisturbed = trials.run(student(), "undisturbed")
    to_the_end(undisturbed)
    newest = _stopped_after(trials, 3, student(), monkeypatch).job.folder / "checkpoint.pt"
    content = newest.read_bytes()
    if damage == "of another trial":
        write_checkpoint(newest, {**read_checkpoint(newest), "trial": student(seed=1).model_dump_json()})
    else:
        newest.write_bytes(
            {
                "truncated": content[: len(content) // 2],
                "empty": b"",
                "garbage": b"garbage " * 60,
                # In the middle of a tensor, where PyTorch takes any bits for numbers.
                "one bit": flipped(content, content.index(_some_weights(newest))),
            }[damage]
        )
    second = trials.run(student())
    reports = to_the_end(second)
    assert len(reports) == 3  # two epochs were there, three are trained
    (message,) = reports[0].messages
    assert f"{newest}: unreadable checkpoint" in message
    assert "\n" not in message
    assert same_weights(undisturbed, second)


def test_a_trial_without_a_readable_checkpoint_starts_over(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = trials.run(student(), "undisturbed")
    to_the_end(undisturbed)
    folder = _stopped_after(trials, 3, student(), monkeypatch).job.folder
    for file in checkpoints(folder):
        file.write_bytes(file.read_bytes()[:100])
    second = trials.run(student())
    reports = to_the_end(second)
    assert len(reports) == 5
    assert len(reports[0].messages) == 2
    assert same_weights(undisturbed, second)


def test_a_checkpoint_is_never_executed(trials: Trials, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "executed",)

    run = trials.run(student())
    run.job.folder.mkdir(parents=True)
    # Its digest is right, as that of an attacker's file would be.
    write_checkpoint(run.job.folder / "checkpoint.pt", {"trial": run.job.trial.model_dump_json(), "trainer": Bomb()})
    assert len(to_the_end(run)) == 5
    assert not (tmp_path / "executed").exists()


def test_damaged_checkpoint_never_replaces_a_good_one(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    newest, previous = checkpoints(_stopped_after(trials, 3, student(), monkeypatch).job.folder)
    newest.write_bytes(b"")
    good = previous.read_bytes()
    second = trials.run(student())
    with full_disk(room=200):  # the next checkpoint cannot be written, and the process ends
        assert second.step().fatal is not None
    assert not newest.exists()
    assert previous.read_bytes() == good


def test_a_checkpoint_holds_all_that_the_next_epoch_depends_on(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    newest, _ = checkpoints(_stopped_after(trials, 3, student(), monkeypatch).job.folder)
    state = read_checkpoint(newest)["trainer"]
    weights = {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert set(state["best_weights"]) == set(state["network"])
    assert len(state["network"]) == len(weights)
    assert {"exp_avg", "exp_avg_sq", "step"} <= set(state["optimizer"]["state"][0])
    assert len(state["optimizer"]["state"]) == len(weights)
    assert set(state["streams"]) == {each.name for each in fields(Streams)} == {"order", "sigma", "selection", "noise"}
    assert set(state["dropout"]) == {"cpu"}
    assert [record["epoch"] for record in state["history"]] == [1, 2, 3]
    errors = [record["val_error"] for record in state["history"]]
    assert (state["best_val_error"], state["best_epoch"]) == (min(errors), errors.index(min(errors)) + 1)


def test_a_resume_removes_a_half_written_checkpoint(trials: Trials) -> None:
    first = trials.run(student())
    first.step()
    first.close()
    left = first.job.folder / ".checkpoint.pt.0a1b2c3d.tmp"
    left.write_bytes(b"half a check")
    trials.run(student()).step()
    assert not left.exists()


def test_one_of_two_processes_trains(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two processes one trains, and the other waits and takes the result."""
    monkeypatch.setattr("study.running.trial.WAIT_SECONDS", 0)
    first, second = trials.run(student()), trials.run(student())
    first.step()
    waiting = [second.step(), second.step()]
    assert [report.epochs for report in waiting] == [(), ()]
    assert [report.summary for report in waiting] == [None, None]
    assert waiting[0].messages == (f"{first.job.folder}: another process trains here; waiting for it",)
    assert waiting[1].messages == ()
    assert second.step() == waiting[1]
    last = to_the_end(first)[-1]
    assert second.step() == last


def test_a_finished_trial_answers_at_once_with_what_it_stored(trials: Trials) -> None:
    report = to_the_end(trials.run(student()))[-1]
    unasked = Trials(trials.folder, trials.images, targets={})  # it could not train if it wanted to
    assert unasked.run(student()).step() == report


def test_a_result_that_cannot_be_read_is_made_again(trials: Trials) -> None:
    run = trials.run(student())
    report = to_the_end(run)[-1]
    run.result_file.write_text("{}", encoding="utf-8")
    again = to_the_end(trials.run(student()))
    said = [message for report in again for message in report.messages]
    assert said == [f"{run.result_file}: not a valid result; the trial runs again"]
    assert numbers_of(again[-1]) == numbers_of(report)


def test_another_trials_result_is_not_taken_for_ones_own(trials: Trials) -> None:
    """A journal that was lost gives its numbers anew."""
    to_the_end(trials.run(student(sigma=0.1)))
    again, alone = trials.run(student()), trials.run(student(), name="alone")
    reports = to_the_end(again)
    assert numbers_of(reports[-1]) == numbers_of(to_the_end(alone)[-1])
    said = [message for report in reports for message in report.messages]
    assert said == [f"{again.result_file}: the result of another trial; this trial runs now"]
