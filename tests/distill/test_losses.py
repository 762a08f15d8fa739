"""Each loss against its formula, computed a second time in NumPy; value and gradient."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from torch import Tensor, nn

from study.methods.logit_regression import squared_distance
from study.methods.soft_targets import soft_target_loss

Array = npt.NDArray[np.float64]
SOFT_SETTINGS = [(1.0, 0.0), (4.0, 0.0), (4.0, 0.25), (0.5, 0.9), (20.0, 1.0)]


@pytest.fixture
def student() -> Tensor:
    return _logits(1).requires_grad_()


@pytest.fixture
def teacher() -> Tensor:
    return _logits(2) * 5


@pytest.fixture
def labels() -> Tensor:
    return torch.tensor([0, 4, 2, 1, 1, 3, 0])


def _logits(seed: int) -> Tensor:
    return torch.randn(7, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _gradient(loss: Tensor, logits: Tensor) -> Array:
    return np.asarray(torch.autograd.grad(loss, logits)[0])


def _soft_by_hand(g: Array, z: Array, y: Array, tau: float, hard: float) -> float:
    """(1 − λ)·CE(y, g) + λ·τ²·KL(softmax(z/τ) ‖ softmax(g/τ)), a mean over samples and a sum over classes."""
    p = softmax(z / tau, axis=1)
    divergence = (p * (log_softmax(z / tau, axis=1) - log_softmax(g / tau, axis=1))).sum(axis=1).mean()
    entropy = -log_softmax(g, axis=1)[np.arange(len(y)), y].mean()
    return float(hard * entropy + (1 - hard) * tau**2 * divergence)


def test_logit_regression_is_half_the_squared_distance(student: Tensor, teacher: Tensor) -> None:
    """The loss is half the mean over samples of the squared distance between the logits."""
    loss = squared_distance(student, teacher)
    g, z = student.detach().numpy(), teacher.numpy()
    by_hand = sum(np.linalg.norm(g[i] - z[i]) ** 2 for i in range(len(g))) / (2 * len(g))
    assert loss.item() == pytest.approx(by_hand, rel=1e-12)
    np.testing.assert_allclose(_gradient(loss, student), (g - z) / len(g), rtol=1e-12)


@pytest.mark.parametrize(("tau", "hard"), SOFT_SETTINGS)
def test_soft_targets_are_the_published_mixture(
    student: Tensor, teacher: Tensor, labels: Tensor, tau: float, hard: float
) -> None:
    loss = soft_target_loss(student, teacher, labels, tau, hard)
    g, z, y = student.detach().numpy(), teacher.numpy(), labels.numpy()
    assert loss.item() == pytest.approx(_soft_by_hand(g, z, y, tau, hard), rel=1e-12)
    from_labels = hard * (softmax(g, axis=1) - np.eye(5)[y])
    from_teacher = (1 - hard) * tau * (softmax(g / tau, axis=1) - softmax(z / tau, axis=1))
    np.testing.assert_allclose(_gradient(loss, student), (from_labels + from_teacher) / len(g), rtol=1e-9, atol=1e-12)


def test_pure_soft_targets_are_the_kl_divergence(student: Tensor, teacher: Tensor, labels: Tensor) -> None:
    """Soft targets without labels at temperature 1 are the Kullback-Leibler divergence."""
    loss = soft_target_loss(student, teacher, labels, temperature=1.0, hard_loss_weight=0.0)
    reference = nn.KLDivLoss(reduction="batchmean")(student.log_softmax(dim=1), teacher.softmax(dim=1))
    torch.testing.assert_close(loss, reference, rtol=1e-12, atol=0)


def test_soft_targets_with_labels_only_are_the_cross_entropy(student: Tensor, teacher: Tensor, labels: Tensor) -> None:
    loss = soft_target_loss(student, teacher, labels, temperature=3.0, hard_loss_weight=1.0)
    assert torch.equal(loss, nn.functional.cross_entropy(student, labels))


def test_hot_soft_targets_approach_logit_regression(student: Tensor, teacher: Tensor, labels: Tensor) -> None:
    """Hinton, Vinyals & Dean, section 2.1: the gradient goes to (g − z)/N for zero-mean logits, N the classes."""
    g, z = (logits - logits.mean(dim=1, keepdim=True) for logits in (student.detach(), teacher))
    soft = soft_target_loss(g, z, labels, temperature=1e4, hard_loss_weight=0.0)
    assert soft.item() == pytest.approx(squared_distance(g, z).item() / 5, rel=1e-3)


_LOSSES: list[Callable[[Tensor, Tensor, Tensor], Tensor]] = [
    lambda g, z, y: squared_distance(g, z),
    lambda g, z, y: soft_target_loss(g, z, y, 2.0, 0.3),
]


@pytest.mark.parametrize("loss", _LOSSES)
def test_the_gradient_agrees_with_finite_differences(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor], student: Tensor, teacher: Tensor, labels: Tensor
) -> None:
    assert torch.autograd.gradcheck(lambda g: loss(g, teacher, labels), (student,))


@pytest.mark.parametrize("loss", _LOSSES)
def test_a_batch_written_twice_has_the_same_loss(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor], student: Tensor, teacher: Tensor, labels: Tensor
) -> None:
    twice = loss(student.repeat(2, 1), teacher.repeat(2, 1), labels.repeat(2))
    torch.testing.assert_close(twice, loss(student, teacher, labels), rtol=1e-12, atol=0)


def test_logit_regression_is_not_averaged_over_classes(student: Tensor, teacher: Tensor) -> None:
    """Classes on which student and teacher agree add nothing and thin nothing out."""
    agreed = torch.ones(7, 20, dtype=torch.float64)
    wide = squared_distance(torch.cat([student, agreed], 1), torch.cat([teacher, agreed], 1))
    torch.testing.assert_close(wide, squared_distance(student, teacher), rtol=1e-12, atol=0)


def test_soft_targets_are_not_averaged_over_classes(student: Tensor, teacher: Tensor, labels: Tensor) -> None:
    """Classes that neither thinks possible add nothing and thin nothing out."""
    impossible = torch.full((7, 20), -1e4, dtype=torch.float64)
    wide = soft_target_loss(torch.cat([student, impossible], 1), torch.cat([teacher, impossible], 1), labels, 1.0, 0.0)
    torch.testing.assert_close(wide, soft_target_loss(student, teacher, labels, 1.0, 0.0), rtol=1e-12, atol=0)


def test_a_student_with_the_logits_of_the_teacher_has_no_loss(teacher: Tensor, labels: Tensor) -> None:
    assert squared_distance(teacher, teacher) == 0
    assert soft_target_loss(teacher, teacher, labels, 4.0, 0.0).abs() < 1e-12
    shifted = soft_target_loss(teacher + 3, teacher, labels, 4.0, 0.0)
    assert shifted.abs() < 1e-12  # a constant per sample means nothing to a softmax


@given(st.floats(-80, 80), st.floats(0.05, 50), st.floats(0, 1))
@settings(deadline=None)
def test_soft_targets_stay_finite_for_certain_teachers(size: float, tau: float, hard: float) -> None:
    student = torch.tensor([[size, -size, 0.0]], requires_grad=True)
    loss = soft_target_loss(student, torch.tensor([[-size, size, 0.0]]), torch.tensor([0]), tau, hard)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    assert loss >= -1e-5
    assert student.grad is not None
    assert student.grad.isfinite().all()
