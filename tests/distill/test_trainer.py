"""The trainer: the baseline is exact, noise is the only difference, and a stop leaves no trace in the result."""

import math
from typing import Any

import pytest
import torch
from support.noise import draw_factors
from support.small_training import (
    CLASSES,
    CONVOLUTIONAL,
    DROPOUT,
    NETWORK,
    SHAPE,
    WatchedImages,
    images,
    logits_for,
    numbers_of,
    run_to_the_end,
    same_weights,
    small_data,
    trained,
    trainer_of,
    trial,
)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from study.config import TrialConfig
from study.distill.evaluation import error_of
from study.distill.optimizers import Optimizer
from study.distill.streams import Streams
from study.distill.trainer import DistillationTrainer, Diverged, TrainingData, initial_network
from study.methods.soft_targets import soft_target_loss
from study.noise.settings import noise_label


def _order(trainer: DistillationTrainer) -> Tensor:
    """The images of the first epoch, in the order they were drawn."""
    trainer.run_epoch()
    watched = trainer.data.train
    assert isinstance(watched, WatchedImages)
    return torch.cat(watched.drawn)


@pytest.mark.parametrize("noise", ["fresh", "frozen"])
@pytest.mark.parametrize(
    ("sigma", "alpha"), [(0.0, 0.5), (0.7, 0.0), (0.0, 0.0), ({"uniform": (0, 0)}, 0.5), ({"uniform": (0.1, 1)}, 0.0)]
)
@pytest.mark.parametrize("method", ["noisy_teacher", "noisy_student"])
def test_noisy_arm_without_noise_equals_the_baseline(method: str, sigma: object, alpha: float, noise: str) -> None:
    """Without sigma or alpha a noisy arm is the baseline to the last bit."""
    arm = trial(method, network=DROPOUT, sigma=sigma, alpha=alpha, noise=noise)
    baseline, noiseless = trained(trial(network=DROPOUT)), trained(arm)
    assert same_weights(baseline, noiseless)
    assert numbers_of(baseline) == numbers_of(noiseless)


def test_soft_targets_without_sigma_have_no_noise() -> None:
    """Soft targets with a sigma of zero are soft targets without noise."""
    assert same_weights(trained(trial("soft_targets", sigma=0.0, alpha=0.5)), trained(trial("soft_targets")))


@pytest.mark.parametrize("method", ["noisy_teacher", "noisy_student", "soft_targets"])
def test_noise_changes_what_a_student_learns(method: str) -> None:
    noisy, silent = (trained(trial(method, sigma=sigma, alpha=0.5)) for sigma in (0.5, 0.0))
    assert not same_weights(noisy, silent)


def test_one_seed_gives_one_student() -> None:
    arm = trial("noisy_teacher", sigma={"uniform": (0.1, 1)}, alpha=0.5, network=DROPOUT, seed=4)
    assert same_weights(trained(arm), trained(arm))


def test_two_seeds_differ_in_initial_weights_and_order() -> None:
    one, other = (trainer_of(trial(seed=seed)) for seed in (0, 1))
    assert not same_weights(one, other)
    assert not torch.equal(_order(one), _order(other))


@pytest.mark.parametrize(
    "arm",
    [
        trial("noisy_teacher", sigma=0.5, alpha=0.3),
        trial("noisy_teacher", sigma={"uniform": (0.01, 1)}, alpha=1.0),
        trial("noisy_teacher", sigma=0.5, alpha=0.3, noise="frozen"),
        trial("noisy_student", sigma=0.5, alpha=0.3),
        trial("soft_targets", sigma=0.5, alpha=0.3),
        trial("labels"),
    ],
    ids=lambda arm: f"{arm.method}-{noise_label(arm.noise)}",
)
def test_arm_and_baseline_share_their_randomness(arm: TrialConfig) -> None:
    """An arm and its baseline share initial weights, batch order and dropout."""
    baseline, other = (trainer_of(config.model_copy(update={"network": DROPOUT})) for config in (trial(), arm))
    assert same_weights(baseline, other)
    assert torch.equal(_order(baseline), _order(other))
    assert torch.equal(baseline.state_dict()["dropout"]["cpu"], other.state_dict()["dropout"]["cpu"])


def test_arms_of_different_sigma_and_alpha_have_the_same_draws() -> None:
    arms = [trial("noisy_teacher", sigma=sigma, alpha=alpha) for sigma, alpha in ((0.1, 0.2), (0.9, 0.7))]
    one, other = (trained(arm).state_dict()["streams"] for arm in arms)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_training_ignores_the_global_generator() -> None:
    """A training neither changes the caller's random generator nor depends on it."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = trained(trial(network=DROPOUT))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same_weights(one, trained(trial(network=DROPOUT)))


@pytest.mark.parametrize("method", ["logit_regression", "noisy_teacher", "noisy_student", "soft_targets"])
def test_an_epoch_is_plain_adam_on_the_methods_loss(method: str) -> None:
    """Written out a second time, without the trainer."""
    noise = {} if method == "logit_regression" else {"sigma": 0.6, "alpha": 0.4}
    config = trial(method, seed=5, weight_decay=0.01, **noise)
    data, streams = small_data(), Streams.of(5)
    trainer, target = trainer_of(config), logits_for(data)
    network = initial_network(config, data)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, weight_decay=0.01)
    record, order = trainer.run_epoch(), torch.randperm(45, generator=streams.order)
    total = 0.0
    for batch in torch.split(order, 16):
        z, g = target[batch], network(data.train.batch(batch))
        factors = draw_factors(len(batch), CLASSES, 0.6, 0.4, streams)
        if method in ("noisy_teacher", "soft_targets"):
            z = factors * z
        elif method == "noisy_student":
            g = factors * g
        loss = ((g - z) ** 2).sum() / (2 * len(batch))
        if method == "soft_targets":
            loss = soft_target_loss(g, z, data.train.labels(batch), 2.0, 0.3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    assert record.train_loss == pytest.approx(total / 45, rel=1e-5)
    for name, weights in network.state_dict().items():
        torch.testing.assert_close(trainer.network.state_dict()[name], weights, rtol=1e-4, atol=1e-6)


def test_every_image_and_every_mirror_image_trains_once_an_epoch() -> None:
    trainer = trainer_of(trial(), small_data(20, mirror=True))
    assert sorted(_order(trainer).tolist()) == list(range(40))


def test_dropout_masks_differ_between_epochs() -> None:
    trainer = trainer_of(trial(network=DROPOUT))
    states = [trainer.state_dict()["dropout"]["cpu"]]
    for _ in range(2):
        trainer.run_epoch()
        states.append(trainer.state_dict()["dropout"]["cpu"])
    assert not torch.equal(states[0], states[1])
    assert not torch.equal(states[1], states[2])


def test_the_order_differs_between_epochs() -> None:
    trainer = trainer_of(trial())
    first = _order(trainer)
    assert not torch.equal(first, _order(trainer)[len(first) :])


def _sizes(network: str, images: int, method: str = "noisy_teacher") -> list[int]:
    """Of the mini-batches of the first epoch."""
    noise: dict[str, Any] = {} if method == "labels" else {"sigma": 0.5, "alpha": 0.5}
    trainer = trainer_of(trial(method, network=network, batch_size=16, **noise), small_data(images))
    trainer.run_epoch()
    watched = trainer.data.train
    assert isinstance(watched, WatchedImages)
    return [len(drawn) for drawn in watched.drawn]


@pytest.mark.parametrize("method", ["noisy_teacher", "noisy_student", "soft_targets", "labels"])
def test_last_single_image_joins_the_batch_before(method: str) -> None:
    """Batch norm of one image's maps of 1x1 pixels has a single value a channel, and PyTorch refuses it."""
    assert _sizes("C3(S1P1)@4-MP4(S4)-C1(S1P0)@4B-FC3", 49, method) == [16, 16, 17]


def test_other_batches_stay_as_they_are() -> None:
    """Other networks and other remainders keep their mini-batches."""
    assert _sizes(NETWORK, 49) == [16, 16, 16, 1]
    assert _sizes(CONVOLUTIONAL, 50) == [16, 16, 16, 2]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_learning_rate_follows_the_schedule_over_all_steps(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr(Optimizer, "step", lambda _, lr: rates.append(lr))
    trained(trial(schedule=schedule, epochs=2, batch_size=15))
    cosine = [0.01 * (1 + math.cos(math.pi * done / 6)) / 2 for done in range(6)]
    assert rates == pytest.approx(cosine if schedule == "cosine" else [0.01] * 6)


class Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what would make a processor wait for an accelerator: a number, or a shape, asked for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", ["noisy_teacher", "noisy_student", "soft_targets", "labels"])
def test_epoch_waits_for_its_device_twice(method: str) -> None:
    """The number of waits does not depend on the number of steps."""
    noise: dict[str, Any] = {"sigma": {"uniform": [0.1, 1]}, "alpha": 0.5} if method.startswith("noisy") else {}
    trainer = trainer_of(trial(method, batch_size=4, network=DROPOUT, **noise), small_data(mirror=True))
    with Waits() as waits:
        trainer.run_epoch()
    assert waits.count == 2  # for the training loss and for the validation error


@pytest.mark.parametrize("network", [NETWORK, CONVOLUTIONAL])
def test_bf16_trains_on_a_cpu_with_weights_kept_in_fp32(network: str) -> None:
    single, half = (trained(trial(network=network, precision=precision)) for precision in ("fp32", "bf16"))
    assert not same_weights(single, half)
    assert half.history[-1].train_loss == pytest.approx(single.history[-1].train_loss, rel=0.1)
    assert all(weights.dtype == torch.float32 for weights in half.network.parameters())


def test_a_noisy_student_is_noiseless_in_evaluation() -> None:
    trainer = trainer_of(trial("noisy_student", sigma=50.0, alpha=1.0))
    record = trainer.run_epoch()
    validation = trainer.data.validation
    everything = torch.arange(len(validation))
    with torch.no_grad():
        wrong = trainer.network(validation.batch(everything)).argmax(dim=1) != validation.labels(everything)
    assert record.val_error == wrong.double().mean().item()
    assert record.val_error == error_of(trainer.network, validation) == error_of(trainer.network, validation)


def test_error_is_the_share_of_misclassified_images() -> None:
    data = small_data()
    says_zero = nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))
    with torch.no_grad():
        for weights in says_zero.parameters():
            weights.zero_()
        says_zero[1].bias[0] = 1  # type: ignore[operator]
    assert error_of(says_zero, data.validation) == pytest.approx(2 / 3)


def test_the_target_has_no_gradient() -> None:
    data = small_data()
    target = logits_for(data)
    trainer = DistillationTrainer(trial("noisy_teacher", sigma=0.5, alpha=0.5), data, target)
    before = target.clone()
    trainer.run_epoch()
    assert torch.equal(target, before)
    assert target.grad is None


@pytest.mark.parametrize(
    ("method", "shape"),
    [
        ("logit_regression", None),
        ("noisy_teacher", None),
        ("labels", (45, 3)),
        ("logit_regression", (45, 1)),
        ("logit_regression", (90, 3)),
        ("soft_targets", (30, 3)),
    ],
)
def test_a_target_of_another_shape_is_refused(method: str, shape: tuple[int, int] | None) -> None:
    """A target that does not belong to the training is refused."""
    with pytest.raises(ValueError, match="target"):
        DistillationTrainer(trial(method), small_data(), None if shape is None else torch.zeros(shape))


def test_a_loss_that_is_not_finite_is_divergence() -> None:
    trainer = trainer_of(trial(optimizer="sgd", lr=100.0, epochs=50, patience=0))
    with pytest.raises(Diverged, match=r"the training loss is (nan|inf) in epoch \d+"):
        run_to_the_end(trainer)
    assert all(math.isfinite(record.train_loss) for record in trainer.history)


def test_an_image_with_nan_diverges_in_the_first_epoch() -> None:
    """An image whose values are not numbers makes the training diverge in the first epoch."""
    broken = images(45, 1)
    broken._images[7] = math.nan
    trainer = DistillationTrainer(
        trial(), TrainingData(broken, images(30, 2), SHAPE, CLASSES), torch.zeros(45, CLASSES)
    )
    with pytest.raises(Diverged, match="in epoch 1"):
        trainer.run_epoch()
    assert trainer.history == []


def test_seconds_and_images_of_every_epoch_are_counted() -> None:
    trainer = trained(trial())
    assert trainer.train_seconds == sum(record.seconds for record in trainer.history) > 0
    assert all(record.images_per_second >= 45 / record.seconds for record in trainer.history)
    stamps = [record.timestamp_ms for record in trainer.history]
    assert stamps == sorted(stamps)


def test_a_method_that_the_trainer_does_not_know_is_an_error() -> None:
    unknown = trial().model_copy(update={"method": "a method of tomorrow"})
    with pytest.raises(ValueError, match="method a method of tomorrow: expected one of logit_regression"):
        trainer_of(unknown).run_epoch()
