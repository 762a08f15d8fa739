"""A method is a target, noise and a loss, each checked against NumPy, and they combine."""

from typing import get_args

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax
from scipy.stats import gmean
from support.noise import draw_factors
from support.small_training import CLASSES, logits_for, small_data, trained, trainer_of, trial
from torch import nn

from study.config import Combination, TrialConfig
from study.distill.streams import Streams
from study.distill.teachers import combined
from study.distill.trainer import DistillationTrainer, initial_network
from study.methods.soft_targets import soft_target_loss

COMBINATIONS: tuple[Combination, ...] = get_args(Combination)
HIDDEN = "[C3(S1P1)@4]-FC8-FC6-FC3"


def _teachers(count: int) -> list[torch.Tensor]:
    return [torch.randn(9, 4, generator=torch.Generator().manual_seed(seed)) * 3 for seed in range(count)]


# -------------------------------------------------------------------------------------------------------------- targets


@pytest.mark.parametrize("count", [2, 3])
def test_signed_geometric_mean_by_definition(count: int) -> None:
    """It is the geometric mean of the absolute logits with the sign of their mean."""
    logits = _teachers(count)
    z = np.stack([one.double().numpy() for one in logits])
    expected = np.sign(z.mean(axis=0)) * gmean(np.abs(z), axis=0)
    np.testing.assert_allclose(combined(logits, "signed_geometric_mean"), expected, rtol=1e-6)


def test_zero_logit_makes_signed_geometric_mean_zero() -> None:
    """One teacher's logit of zero makes the signed geometric mean zero."""
    assert combined([torch.tensor([[0.0, 4.0]]), torch.tensor([[3.0, 1.0]])], "signed_geometric_mean").tolist() == [
        [0.0, 2.0]
    ]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_mean_distribution_is_an_ensembles(count: int) -> None:
    logits = _teachers(count)
    expected = np.mean([softmax(one.double().numpy(), axis=1) for one in logits], axis=0)
    target = combined(logits, "mean_distribution")
    np.testing.assert_allclose(target.double().exp(), expected, rtol=1e-5)
    np.testing.assert_allclose(softmax(target.double().numpy(), axis=1), expected, rtol=1e-5)


@pytest.mark.parametrize("how", COMBINATIONS)
def test_identical_teachers_say_together_what_one_says(how: Combination) -> None:
    (z,) = _teachers(1)
    for count in (1, 2, 3):
        together = combined([z] * count, how)
        assert together.dtype == z.dtype
        np.testing.assert_allclose(softmax(together.numpy(), axis=1), softmax(z.numpy(), axis=1), rtol=1e-5)
        if how != "mean_distribution":
            torch.testing.assert_close(together, z, rtol=1e-6, atol=0)


def test_mean_distribution_handles_tiny_probabilities() -> None:
    target = combined([torch.tensor([[500.0, -500.0]]), torch.tensor([[400.0, 0.0]])], "mean_distribution")
    assert torch.isfinite(target).all()


# --------------------------------------------------------------------------------------------------------------- losses


def test_ensemble_student_learns_the_mean_distribution() -> None:
    """Value and gradient of the Kullback-Leibler divergence, written out."""
    logits = _teachers(3)
    g = torch.randn(9, 4, generator=torch.Generator().manual_seed(9), requires_grad=True)
    labels = torch.zeros(9, dtype=torch.int64)
    loss = soft_target_loss(g, combined(logits, "mean_distribution"), labels, temperature=1.0, hard_loss_weight=0.0)
    p = np.mean([softmax(one.double().numpy(), axis=1) for one in logits], axis=0)
    q = softmax(g.detach().double().numpy(), axis=1)
    assert loss.item() == pytest.approx(rel_entr(p, q).sum(axis=1).mean(), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, g)
    np.testing.assert_allclose(gradient, (q - p) / len(p), atol=1e-6)


@pytest.mark.parametrize("how", COMBINATIONS)
def test_noise_meets_the_combined_target_of_soft_targets(how: Combination) -> None:
    """One mini-batch of all images, written out with the same draws."""
    config = trial("soft_targets", seed=4, batch_size=45, sigma=0.7, alpha=0.6, combine=how, temperature=2.0)
    data, streams = small_data(), Streams.of(4)
    teachers = [logits_for(data), logits_for(data).flip(0)]
    record = DistillationTrainer(config, data, combined(teachers, how)).run_epoch()
    order = torch.randperm(45, generator=streams.order)
    z = combined(teachers, how)[order] * draw_factors(45, CLASSES, 0.7, 0.6, streams)
    g = initial_network(config, data)(data.train.batch(order)).detach().double().numpy()
    labels = data.train.labels(order).numpy()
    p, q = softmax(z.double().numpy() / 2, axis=1), softmax(g / 2, axis=1)
    hard = -log_softmax(g, axis=1)[np.arange(45), labels].mean()
    expected = 0.3 * hard + 0.7 * 4 * rel_entr(p, q).sum(axis=1).mean()
    assert record.train_loss == pytest.approx(expected, rel=1e-4)


# -------------------------------------------------------------------------------------------------------------- dropout


def test_dropout_follows_every_hidden_linear_layer() -> None:
    """Dropout stands behind every hidden fully connected layer and its ReLU."""
    network = initial_network(trial(network=HIDDEN, dropout=0.3), small_data())
    kinds = [type(module).__name__ for module in network.children()]
    assert kinds[-7:] == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [module.p for module in network.modules() if isinstance(module, nn.Dropout)] == [0.3, 0.3]


def test_dropout_keeps_initial_weights_and_order() -> None:
    """With dropout a seed still means the same initial weights and the same order of images."""
    plain, dropped = (trial(network=HIDDEN, dropout=dropout) for dropout in (0.0, 0.5))
    data = small_data()
    one, other = initial_network(plain, data).state_dict(), initial_network(dropped, data).state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    first, second = small_data(), small_data()
    losses_of = [
        trainer_of(config, images).run_epoch().train_loss for config, images in ((plain, first), (dropped, second))
    ]
    assert losses_of[0] != losses_of[1]
    assert [batch.tolist() for batch in first.train.drawn] == [batch.tolist() for batch in second.train.drawn]  # type: ignore[attr-defined]


def test_dropout_training_resumes_exactly() -> None:
    """A student with dropout that was stopped ends as if it had not been."""
    config = trial(network=HIDDEN, dropout=0.5, epochs=4)
    undisturbed, first, second = trained(config), trainer_of(config), trainer_of(config)
    first.run_epoch()
    second.load_state_dict(first.state_dict())
    while not second.finished:
        second.run_epoch()
    assert [r.train_loss for r in second.history] == [r.train_loss for r in undisturbed.history]


# --------------------------------------------------------------------------------------------------------------- target


def _with_target(error: float) -> TrialConfig:
    return trial("labels", epochs=8, patience=0, target_error=error)


def test_target_is_reached_by_the_first_good_epoch() -> None:
    """The target is reached by the first epoch whose error is no larger than the target."""
    errors = [record.val_error for record in trained(_with_target(0.0)).history]
    target = sorted(set(errors))[len(set(errors)) // 2]  # neither the best nor the worst
    reached = trained(_with_target(target))
    assert reached.to_target is not None
    epoch, seconds = reached.to_target
    assert errors[epoch - 1] <= target < min(errors[: epoch - 1])
    assert seconds == pytest.approx(sum(record.seconds for record in reached.history[:epoch]))


def test_training_continues_after_the_target() -> None:
    reached, without = trained(_with_target(0.99)), trained(trial("labels", epochs=8, patience=0))
    assert reached.to_target is not None
    assert reached.to_target[0] == 1
    assert [r.val_error for r in reached.history] == [r.val_error for r in without.history]


def test_a_target_that_is_never_reached_has_no_epoch() -> None:
    assert trained(trial(lr=1e-12, target_error=0.0)).to_target is None
    assert trained(trial()).to_target is None
