"""Teachers: fixed, noiseless, their logits in the order of the images, their weights from safe files only."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.special import softmax
from support.small_training import CLASSES, SHAPE, images, logits_for, small_data, trainer_of, trial
from torch import nn

from models import zoo
from study.distill.teachers import combined, load_weights, logits_of
from study.distill.trainer import DistillationTrainer
from study.errors import UserError


def _network(line: str = "FC8-D0.5-FC3") -> nn.Module:
    return zoo.build(line, SHAPE, CLASSES)


def test_logits_follow_the_image_order() -> None:
    """Logits are in the order of the images, with those of the mirror images behind."""
    teacher, plain, mirrored = _network(), images(20, 1), images(20, 1, mirror=True)
    logits = logits_of(teacher, mirrored, block=7)
    flipped = plain.batch(torch.arange(20)).flip(3)
    assert logits.shape == (40, CLASSES)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits[:20], logits_of(teacher, plain))
    torch.testing.assert_close(logits[20:], teacher(flipped))


def test_a_teacher_answers_in_evaluation_mode() -> None:
    teacher = _network()
    teacher.train()
    first, second = (logits_of(teacher, images(30, 1)) for _ in range(2))
    assert torch.equal(first, second)  # dropout would make them differ


def test_the_logits_of_a_teacher_have_no_gradient() -> None:
    logits = logits_of(_network(), images(10, 1))
    assert not logits.requires_grad
    assert logits.grad_fn is None


@pytest.mark.parametrize("method", ["logit_regression", "noisy_teacher", "noisy_student", "soft_targets"])
def test_student_learns_from_teacher_logits(method: str) -> None:
    """A student learns from the logits as they come from the teacher, and the teacher stays as it is."""
    data, teacher = small_data(), _network()
    before = [weights.clone() for weights in teacher.state_dict().values()]
    noise: dict[str, Any] = {} if method == "logit_regression" else {"sigma": 0.5, "alpha": 0.5}
    student = DistillationTrainer(trial(method, **noise), data, logits_of(teacher, data.train))
    assert student.run_epoch().train_loss > 0
    assert all(map(torch.equal, before, teacher.state_dict().values()))
    assert all(weights.grad is None for weights in teacher.parameters())


def test_two_identical_teachers_teach_what_one_teaches() -> None:
    logits = logits_for(small_data())
    assert torch.equal(combined([logits]), logits)
    assert torch.equal(combined([logits, logits.clone()]), logits)


def test_several_teachers_teach_the_geometric_mean() -> None:
    """Several teachers teach the normalised geometric mean of their distributions."""
    logits = [torch.randn(9, 4, generator=torch.Generator().manual_seed(seed)).double() * 3 for seed in range(3)]
    geometric = np.prod([softmax(one.numpy(), axis=1) for one in logits], axis=0) ** (1 / 3)
    geometric /= geometric.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax(combined(logits).numpy(), axis=1), geometric, rtol=1e-9)


def test_stored_weights_are_loaded(tmp_path: Path) -> None:
    teacher, other, file = _network(), _network(), tmp_path / "teacher.safetensors"
    save_file(teacher.state_dict(), file)
    load_weights(other, file)
    assert all(map(torch.equal, teacher.state_dict().values(), other.state_dict().values()))


class _Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("name", ["teacher.pt", "teacher.safetensors"])
@pytest.mark.parametrize("torch_format", [True, False])
def test_a_pickle_of_any_name_is_refused_and_not_run(tmp_path: Path, name: str, torch_format: bool) -> None:
    file, trace = tmp_path / name, tmp_path / "executed"
    if torch_format:
        torch.save(_Bomb(trace), file)
    else:
        file.write_bytes(pickle.dumps(_Bomb(trace)))
    with pytest.raises(UserError, match=r"weights .*teacher\..*: not a (safetensors )?file") as refusal:
        load_weights(_network(), file)
    assert "\n" not in str(refusal.value)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 100, b"\xff" * 100, b"GIF89a" * 50])
def test_garbage_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "teacher.safetensors"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"teacher\.safetensors: not a safetensors file") as refusal:
        load_weights(_network(), file)
    assert "\n" not in str(refusal.value)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "teacher.safetensors"
    save_file(_network().state_dict(), file)
    content = file.read_bytes()
    for length in range(0, len(content), 41):
        file.write_bytes(content[:length])
        with pytest.raises(UserError, match="not a safetensors file"):
            load_weights(_network(), file)


@pytest.mark.parametrize("line", ["FC9-D0.5-FC3", "FC8-FC8-FC3", "FC3"])
def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "teacher.safetensors"
    save_file(_network(line).state_dict(), file)
    with pytest.raises(UserError, match=r"teacher\.safetensors: they do not fit the network") as refusal:
        load_weights(_network(), file)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_given_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    file = tmp_path / "teacher.safetensors"
    weights = _network().state_dict()
    next(iter(weights.values())).flatten()[3] = value
    save_file(weights, file)
    with pytest.raises(UserError, match=r"teacher\.safetensors: .*weight has numbers that are NaN or infinite"):
        load_weights(_network(), file)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no such file"):
        load_weights(_network(), tmp_path / "nowhere")
    with pytest.raises(UserError, match=str(tmp_path)):
        load_weights(_network(), tmp_path)


def test_trained_teacher_beats_an_untrained_one() -> None:
    """A teacher trained on labels errs less than an untrained one."""
    teacher = trainer_of(trial("labels", epochs=15))
    first = teacher.run_epoch()
    while not teacher.finished:
        last = teacher.run_epoch()
    assert last.train_loss < first.train_loss / 2
    assert last.val_error < 0.1 < first.val_error
