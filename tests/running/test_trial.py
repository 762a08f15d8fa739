"""A trial comes to its end and says how it ended."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.full_disk import full_disk
from support.small_trials import (
    CLASSES,
    TARGET,
    TRAIN_IMAGES,
    Trials,
    same_weights,
    split,
    student,
    summary_of,
    teacher,
    to_the_end,
)

from study.data.dataset import Dataset
from study.distill.evaluation import error_of
from study.distill.processor import MeasuredProcessor
from study.distill.teachers import logits_of
from study.distill.trainer import DistillationTrainer, TrainingData, initial_network
from study.records import EpochRecord
from study.running.job import DeviceImages
from study.running.trial import FloatArray

pytest_plugins = ("support.small_trials",)


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --------------------------------------------------------------------------------------------------------- to the end


def test_a_step_is_an_epoch_and_the_last_brings_the_summary(trials: Trials) -> None:
    reports = to_the_end(trials.run(student()))
    assert [[epoch.epoch for epoch in report.epochs] for report in reports] == [[1], [2], [3], [4], [1, 2, 3, 4, 5]]
    summary, errors = summary_of(reports[-1]), [epoch.val_error for epoch in reports[-1].epochs]
    assert (summary.outcome, summary.epochs, summary.reason) == ("completed", 5, None)
    assert summary.best_val_error == min(errors)
    assert summary.best_epoch == errors.index(min(errors)) + 1
    assert summary.train_seconds > 0
    assert {report.number for report in reports} == {7}
    assert all(report.messages == () for report in reports)


def test_the_test_error_is_that_of_the_stored_best_weights(trials: Trials) -> None:
    run = trials.run(student())
    summary = summary_of(to_the_end(run)[-1])
    dataset = trials.images.dataset
    data = TrainingData(trials.images.train, trials.images.validation, dataset.input_shape, CLASSES)
    network = initial_network(student(), data)
    network.load_state_dict(load_file(run.weights_file))
    assert summary.test_error == error_of(network, trials.images.test)
    assert summary.best_val_error == error_of(network, trials.images.validation)


def test_finished_trial_leaves_weights_and_result(trials: Trials) -> None:
    """A finished trial leaves its weights and its result, and no checkpoint."""
    run = trials.run(student())
    to_the_end(run)
    assert _files(run.job.folder) == ["lock", "result.json", "weights.safetensors"]


def test_a_search_trial_never_looks_at_the_test_set(trials: Trials) -> None:
    run = trials.run(student(stage="search"))
    run.images = DeviceImages(trials.images.dataset)
    assert summary_of(to_the_end(run)[-1]).test_error is None
    assert "test" not in run.images.__dict__  # not even brought to the device


@pytest.mark.parametrize("stage", ["grid", "confirm"])
def test_all_other_students_are_tested_once(trials: Trials, stage: str) -> None:
    assert summary_of(to_the_end(trials.run(student(stage=stage)))[-1]).test_error is not None


# ------------------------------------------------------------------------------------------------------------ failures


def test_a_training_that_diverges_says_so(trials: Trials) -> None:
    settings = {
        "method": "logit_regression",
        "sigma": 0.0,
        "alpha": 0.0,
        "train": {"optimizer": "sgd", "lr": 100.0, "epochs": 50},
    }
    run = trials.run(student(**settings))
    reports = to_the_end(run)
    summary = summary_of(reports[-1])
    assert summary.outcome == "diverged"
    assert summary.reason is not None
    assert summary.reason.startswith("the training loss is ")
    assert summary.test_error is None
    assert summary.epochs == len(reports[-1].epochs) == len(reports) - 1
    assert _files(run.job.folder) == ["lock", "result.json"]
    assert trials.run(student(**settings)).step() == reports[-1]


@pytest.mark.parametrize("network", ["FC8-FC4", "[C5(S1P0)@4]-FC3", "no-such-network"])
def test_raising_training_fails_with_one_line(trials: Trials, network: str) -> None:
    """A training that raises has failed for a reason in one line."""
    report = trials.run(student(network=network)).step()
    summary = summary_of(report)
    assert (summary.outcome, summary.epochs) == ("failed", 0)
    assert summary.reason is not None
    assert summary.reason.startswith("NotationError: ")
    assert "\n" not in summary.reason
    assert trials.run(student(network=network)).step() == report


@pytest.mark.parametrize("error", [MemoryError("no room"), torch.OutOfMemoryError("CUDA out of memory")])
def test_a_training_that_ran_out_of_memory_has_failed(
    trials: Trials, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine may have enough memory, so it has not diverged: no sampler must learn from it."""

    def run_epoch(self: DistillationTrainer) -> EpochRecord:
        raise error

    monkeypatch.setattr(DistillationTrainer, "run_epoch", run_epoch)
    summary = summary_of(trials.run(student()).step())
    assert (summary.outcome, summary.reason) == ("failed", f"{type(error).__name__}: {error}")


def test_missing_or_foreign_target_is_a_failure(trials: Trials) -> None:
    """A target that is missing or belongs to other images is a failure."""
    reasons = []
    for targets in ({}, {TARGET: trials.targets[TARGET][:5]}):
        summary = summary_of(Trials(trials.folder / str(len(targets)), trials.images, targets).run(student()).step())
        assert summary.outcome == "failed"
        reasons.append(summary.reason)
    assert reasons == [f"KeyError: '{TARGET}'", "ValueError: a target of shape (5, 3) for 48 x 3 logits"]


def test_a_folder_that_cannot_be_written_is_fatal_and_named(trials: Trials) -> None:
    (trials.folder / "trials").write_text("a file where the folder should be")
    report = trials.run(student()).step()
    assert report.summary is None
    assert report.fatal is not None
    assert str(trials.folder / "trials" / "grid-0000") in report.fatal
    assert "\n" not in report.fatal


@pytest.mark.parametrize("steps", [0, 4])
def test_full_disk_is_fatal_but_resumable(trials: Trials, steps: int) -> None:
    """A full disk is fatal, and the trial goes on when there is room again."""
    large = student(network="FC64-FC3")  # its result has room, its checkpoint and its weights do not
    undisturbed = trials.run(large, "undisturbed")
    to_the_end(undisturbed)
    first = trials.run(large)
    for _ in range(steps):
        first.step()
    with full_disk(room=2500):
        report = first.step()
    assert report.summary is None
    assert report.fatal is not None
    assert str(first.job.folder) in report.fatal
    assert "File too large" in report.fatal
    second = trials.run(large)
    assert summary_of(to_the_end(second)[-1]).outcome == "completed"
    assert same_weights(undisturbed, second)


# ------------------------------------------------------------------------------------------------------------ teachers


def test_trained_teacher_leaves_its_logits(trials: Trials) -> None:
    """A trained teacher leaves its logits for every image and every mirror image."""
    run = trials.run(teacher(train={"epochs": 20}), "teacher")
    summary = summary_of(to_the_end(run)[-1])
    assert summary.outcome == "completed"
    assert summary.test_error is not None
    assert summary.test_error < 0.34  # chance is 2/3
    dataset = trials.images.dataset
    data = TrainingData(trials.images.train, trials.images.validation, dataset.input_shape, CLASSES)
    network = initial_network(teacher(), data)
    network.load_state_dict(load_file(run.weights_file))
    assert trials.logits is not None
    assert torch.equal(trials.logits, logits_of(network, trials.images.train))


def _given_weights(trials: Trials) -> Path:
    dataset = trials.images.dataset
    data = TrainingData(trials.images.train, trials.images.validation, dataset.input_shape, CLASSES)
    file = trials.folder / "given.safetensors"
    save_file(initial_network(teacher(seed=5), data).state_dict(), file)
    return file


def test_given_teacher_is_measured_not_trained(trials: Trials) -> None:
    """A teacher whose weights are given is measured and not trained."""
    given = teacher(weights=str(_given_weights(trials)))
    (report,) = to_the_end(trials.run(given, "teacher"))
    summary = summary_of(report)
    assert (summary.outcome, summary.epochs, report.epochs) == ("completed", 0, ())
    assert summary.best_val_error is not None
    assert summary.test_error is not None
    (message,) = report.messages
    assert f"test error {100 * summary.test_error:.2f} % on the images of this study" in message
    assert trials.logits is not None
    assert trials.run(given, "teacher").step() == report


def test_given_weights_that_cannot_be_used_are_fatal_and_named(trials: Trials) -> None:
    file = trials.folder / "weights.safetensors"
    torch.save({}, file)
    report = trials.run(teacher(weights=str(file)), "teacher").step()
    assert report.fatal is not None
    assert report.fatal.startswith(f"weights {file}: not a safetensors file")
    assert trials.logits is None


def test_failed_teacher_is_tried_again(trials: Trials) -> None:
    """Its folder is shared by all studies, and what made it fail may be gone."""
    broken = trials.run(teacher(), "teacher")
    broken.images = DeviceImages(Dataset(**{**trials.images.dataset.__dict__, "classes": ("a", "b")}))
    assert summary_of(broken.step()).outcome == "failed"
    assert summary_of(to_the_end(trials.run(teacher(), "teacher"))[-1]).outcome == "completed"


def test_nothing_is_written_into_shared_images_or_targets(trials: Trials) -> None:
    def digest() -> str:
        dataset = trials.images.dataset
        arrays = (dataset.train.images, dataset.validation.images, dataset.test.images, trials.targets[TARGET])
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

    before = digest()
    for method in ("noisy_teacher", "noisy_student"):
        to_the_end(trials.run(student(method=method), method))
    assert digest() == before


def test_a_student_trained_in_bf16_errs_in_float32_as_tracked(tmp_path: Path, targets: dict[str, FloatArray]) -> None:
    """An exported file answers in float32. In bf16 many logits tie, so errors of the two precisions differ."""
    splits = (split(TRAIN_IMAGES // 2, 1), split(3000, 2), split(3000, 3))
    many = DeviceImages(Dataset("small", ("a", "b", "c"), *splits, 255.0, None, mirror=True, digest="d"))
    trial = student(network="FC8-FC3", train={"precision": "bf16", "epochs": 20})
    run = Trials(tmp_path, many, targets).run(trial)
    summary = summary_of(to_the_end(run)[-1])
    data = TrainingData(many.train, many.validation, many.dataset.input_shape, many.dataset.class_count)
    network = initial_network(trial, data)
    network.load_state_dict(load_file(run.weights_file))
    assert summary.test_error == error_of(network, many.test)
    assert summary.best_val_error == error_of(network, many.validation)


def test_the_first_trial_on_a_processor_says_where_bf16_is_slow(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = MeasuredProcessor(name="a processor", onednn_speed=1.0, bf16_speed=0.5)
    monkeypatch.setattr("study.distill.processor.measured_processor", lambda: slow)
    said = []
    for name in ("first", "second"):
        run = trials.run(student(train={"precision": "bf16"}), name)
        run.job = replace(run.job, processors=trials.folder / "processors")
        said.append([message for report in to_the_end(run) for message in report.messages])
    assert said == [[slow.slow_bf16], []]
