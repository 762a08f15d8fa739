"""What is measured of the noise and of the student beside its error, and label noise."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from support.small_training import CLASSES, logits_for, same_weights, small_data, trained, trainer_of, trial

from study.distill.label_noise import with_random_labels
from study.distill.noise_size import root_mean_square
from study.distill.trainer import DistillationTrainer
from study.noise.settings import READINGS

DATA = small_data(3000)
RMS = float(np.sqrt(np.mean(np.asarray(logits_for(DATA).double()) ** 2)))


def _size(reading: str, **settings: Any) -> float | None:
    config = trial("noisy_teacher", noise=READINGS[reading], **{"sigma": 0.5, "alpha": 0.5, **settings})
    return DistillationTrainer(config, DATA, logits_for(DATA)).noise_rms()


def test_logit_rms_is_that_of_the_target() -> None:
    trainer = DistillationTrainer(trial(), DATA, logits_for(DATA))
    assert trainer.logit_rms == pytest.approx(RMS, rel=1e-12)
    assert trainer.noise_rms() is None


@pytest.mark.parametrize("reading", READINGS)
def test_noise_rms_is_measured_over_perturbed_samples(reading: str) -> None:
    """σ times the logits for multiplicative noise, σ for additive; α does not change it, but for `chan_2017`."""
    size = {"multiplicative": 0.5 * RMS, "additive": 0.5, "scaled": RMS * np.sqrt(1 + 0.5 * 0.5**2)}
    assert _size(reading) == pytest.approx(size[READINGS[reading].form], rel=0.12)


def test_sigma_in_units_of_the_logits_is_relative() -> None:
    relative = _size("section_4_1", sigma_unit="logit_rms")
    assert relative == pytest.approx(0.5 * RMS, rel=0.05)
    assert _size("equation_2", sigma_unit="logit_rms") == _size("equation_2")


def test_noise_on_the_student_is_measured_on_its_logits() -> None:
    trainer = trained(trial("noisy_student", sigma=0.5, alpha=1.0), small_data(300))
    with torch.no_grad():
        own = trainer.network.eval()(trainer.data.validation.batch(torch.arange(30)))
    assert trainer.noise_rms() == pytest.approx(0.5 * root_mean_square(own), rel=0.4)


@pytest.mark.parametrize("method", ["noisy_teacher", "noisy_student", "soft_targets"])
@pytest.mark.parametrize("reading", [name for name in READINGS if name != "chan_2017"])
@pytest.mark.parametrize("nothing", [{"sigma": 0.0, "alpha": 0.5}, {"sigma": 0.5, "alpha": 0.0}])
def test_no_noise_is_bit_identical_to_the_baseline(method: str, reading: str, nothing: dict[str, Any]) -> None:
    plain = {"soft_targets": "soft_targets"}.get(method, "logit_regression")
    arm = trial(method, noise=READINGS[reading], epochs=1, **nothing)
    assert same_weights(trained(arm), trained(trial(plain, epochs=1)))


def test_scaled_noise_of_zero_is_a_target_of_zero() -> None:
    """With σ = 0 or α = 0 every target is 0, which is not the baseline."""
    data = small_data()
    zero = DistillationTrainer(trial(epochs=1), data, torch.zeros(45, CLASSES))
    zero.run_epoch()
    nothings: list[dict[str, Any]] = [{"sigma": 0.0, "alpha": 0.5}, {"sigma": 0.5, "alpha": 0.0}]
    for nothing in nothings:
        arm = trained(trial("noisy_teacher", noise=READINGS["chan_2017"], epochs=1, **nothing), data)
        assert same_weights(arm, zero)
        assert not same_weights(arm, trained(trial(epochs=1), data))


@pytest.mark.parametrize("per", ["sample", "image"])
def test_a_schedule_changes_a_training(per: str) -> None:
    one, other = (
        trained(trial("noisy_teacher", sigma=0.5, alpha=1.0, noise={"per": per, "schedule": schedule}))
        for schedule in ("constant", "linear")
    )
    assert not same_weights(one, other)


@pytest.mark.parametrize("noise", [*READINGS.values(), {"per": "image", "schedule": "linear"}, {"schedule": "cosine"}])
def test_a_resumed_training_has_the_same_draws(noise: Any) -> None:
    config = trial("noisy_teacher", sigma=0.5, alpha=0.5, noise=noise)
    first = trainer_of(config)
    first.run_epoch()
    state = torch.load(_written(first.state_dict()), weights_only=True)
    second = trainer_of(config)
    second.load_state_dict(state)
    while not second.finished:
        second.run_epoch()
    assert same_weights(second, trained(config))


def _written(state: dict[str, Any]) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


def test_agreement_is_the_share_of_equal_classes() -> None:
    trainer = trained(trial())
    with torch.no_grad():
        own = trainer.network.eval()(trainer.data.validation.batch(torch.arange(30)))
    assert trainer.agreement_with(own) == 1.0
    others = own.clone()
    others[:12] = -others[:12]
    expected = np.mean(np.asarray(own).argmax(1) == np.asarray(others).argmax(1))
    assert trainer.agreement_with(others) == pytest.approx(expected) != 1.0


def test_a_share_of_the_labels_is_random() -> None:
    right = torch.arange(20_000) % 4
    noisy = with_random_labels(right, 0.4, 4, seed=1)
    wrong = (noisy != right).double().mean().item()
    assert abs(wrong - 0.4 * 3 / 4) < 4 * np.sqrt(0.3 * 0.7 / 20_000)
    assert torch.equal(noisy, with_random_labels(right, 0.4, 4, seed=1))
    assert not torch.equal(noisy, with_random_labels(right, 0.4, 4, seed=2))
    assert torch.equal(with_random_labels(right, 0.0, 4, seed=1), right)


def test_more_label_noise_changes_the_same_images_and_more() -> None:
    right = torch.arange(1000) % 4
    few, many = (with_random_labels(right, share, 4, seed=1) != right for share in (0.2, 0.6))
    assert few.sum() < many.sum()
    assert not (few & ~many).any()


def test_label_noise_changes_no_other_draw() -> None:
    one, other = (trainer_of(trial("labels", label_noise=share)) for share in (0.0, 0.5))
    one.run_epoch()
    other.run_epoch()
    states = (trainer.state_dict()["streams"] for trainer in (one, other))
    first, second = states
    assert all(torch.equal(state, second[name]) for name, state in first.items())
    assert not same_weights(one, other)
