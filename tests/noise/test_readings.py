"""Each reading is what its source computes: compared with NumPy, which shares the raw draws alone."""

from collections.abc import Callable
from itertools import product
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import ValidationError

from study.distill.streams import Streams
from study.noise.perturbation import Perturbation, strength
from study.noise.settings import FORMER_WORDS, READINGS, Noise, noise_label, noise_words, reading_of
from study.values import Sigma, Uniform

Array = npt.NDArray[np.float64]
IMAGES, CLASSES, SIGMA, ALPHA, SEED = 40, 4, 0.6, 0.5, 5
BATCHES = (np.arange(0, 24), np.arange(24, 40)[::-1].copy(), np.arange(8, 32))
"""Three mini-batches of training images; images 8 to 31 come twice."""

LOGITS = np.random.default_rng(0).normal(0, 5, (IMAGES, CLASSES))
SETTINGS = {name: get_args(field.annotation) for name, field in Noise.model_fields.items()}
ALL = [
    dict(zip(SETTINGS, values, strict=True))
    for values in product(*SETTINGS.values())
    if not (values[2] == "image" and values[3] == "batch")
]


class Raw:
    """The raw draws of a seed, one source after another, as NumPy arrays."""

    def __init__(self, seed: int) -> None:
        self._streams = Streams.of(seed)

    def sigma(self, count: int, sigma: Sigma) -> Array:
        uniform = np.asarray(torch.rand(count, 1, generator=self._streams.sigma).double())
        return sigma.low + (sigma.high - sigma.low) * uniform if isinstance(sigma, Uniform) else 0 * uniform + sigma

    def selected(self, count: int, alpha: float) -> npt.NDArray[np.bool_]:
        return np.asarray(torch.rand(count, 1, generator=self._streams.selection).double()) < alpha

    def normal(self, count: int, columns: int) -> Array:
        return np.asarray(torch.randn(count, columns, generator=self._streams.noise).double())


def equation_2(raw: Raw, z: Array, sigma: Sigma) -> Array:
    """z′ = (1 + ξ) ⊙ z, a new ξ for every sample."""
    m, xi = raw.selected(len(z), ALPHA), raw.sigma(1, sigma) * raw.normal(*z.shape)
    return np.where(m, (1 + xi) * z, z)


def section_4_1(raw: Raw, z: Array, sigma: Sigma) -> Array:
    """z′ = z + ξ."""
    m, xi = raw.selected(len(z), ALPHA), raw.sigma(1, sigma) * raw.normal(*z.shape)
    return np.where(m, z + xi, z)


def algorithm_1(raw: Raw, z: Array, sigma: Sigma) -> Array:
    """Line 4: one vector ξ for the mini-batch."""
    m, xi = raw.selected(len(z), ALPHA), raw.sigma(1, sigma) * raw.normal(1, z.shape[1])
    return np.array([(1 + xi[0]) * row if one else row for row, one in zip(z, m[:, 0], strict=True)])


def chan_2016(raw: Raw, z: Array, sigma: Sigma) -> Array:
    """z′ = z + m·ξ, one scalar ξ a sample."""
    m, xi = raw.selected(len(z), ALPHA), raw.sigma(1, sigma) * raw.normal(len(z), 1)
    return z + m * xi


def chan_2017(raw: Raw, z: Array, sigma: Sigma) -> Array:
    """z′ = m·ξ·z, one scalar ξ a sample: what is not selected becomes 0."""
    m, xi = raw.selected(len(z), ALPHA), raw.sigma(1, sigma) * raw.normal(len(z), 1)
    return m * xi * z


def kd_lib(raw: Raw, z: Array, sigma: Sigma) -> Array:
    """z′ = (1 + ξ) ⊙ z for the whole mini-batch, or for none of it."""
    m, xi = raw.selected(1, ALPHA), raw.sigma(1, sigma) * raw.normal(*z.shape)
    return (1 + xi) * z if m[0, 0] else z


FRESH: dict[str, Callable[[Raw, Array, Sigma], Array]] = {
    "equation_2": equation_2,
    "section_4_1": section_4_1,
    "algorithm_1": algorithm_1,
    "chan_2016": chan_2016,
    "chan_2017": chan_2017,
    "kd_lib": kd_lib,
}


def perturbed(noise: Noise, sigma: Sigma = SIGMA, alpha: float = ALPHA, progress: float = 0.0) -> list[Array]:
    """The perturbed logits of the mini-batches."""
    perturbation = Perturbation(noise, sigma, alpha, IMAGES, CLASSES, Streams.of(SEED))
    found = []
    for batch in BATCHES:
        drawn = perturbation.drawn(torch.from_numpy(batch), progress)
        assert drawn.shape == (len(batch), CLASSES)
        found.append(np.asarray(perturbation.applied(torch.from_numpy(LOGITS[batch]), drawn.double())))
    return found


@pytest.mark.parametrize("sigma", [SIGMA, Uniform(uniform=(0.01, 1))], ids=["fixed", "random"])
@pytest.mark.parametrize("name", FRESH)
def test_a_fresh_reading_is_what_its_source_computes(name: str, sigma: Sigma) -> None:
    raw = Raw(SEED)
    for batch, found in zip(BATCHES, perturbed(READINGS[name], sigma), strict=True):
        np.testing.assert_allclose(found, FRESH[name](raw, LOGITS[batch], sigma), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sigma", [SIGMA, Uniform(uniform=(0.01, 1))], ids=["fixed", "random"])
@pytest.mark.parametrize("name", ["section_5_2", "section_5_2_additive"])
def test_a_frozen_reading_has_one_draw_per_image(name: str, sigma: Sigma) -> None:
    raw = Raw(SEED)
    m, xi = raw.selected(IMAGES, ALPHA), raw.sigma(IMAGES, sigma) * raw.normal(IMAGES, CLASSES)
    every = np.where(m, LOGITS + xi if name.endswith("additive") else (1 + xi) * LOGITS, LOGITS)
    for batch, found in zip(BATCHES, perturbed(READINGS[name], sigma), strict=True):
        np.testing.assert_allclose(found, every[batch], rtol=1e-5, atol=1e-5)


def test_every_reading_is_compared() -> None:
    assert {*FRESH, "section_5_2", "section_5_2_additive"} == READINGS.keys()


@pytest.mark.parametrize("name", READINGS)
def test_the_size_of_a_reading_is_as_documented(name: str) -> None:
    """At σ: σ times the logit for the multiplicative readings, σ for the additive ones, √(1 + σ²) times for chan_2017.

    Of one mini-batch of 50,000 samples, all of them perturbed; each share of its size is one of the 4 classes.
    """
    samples, noise = 50_000, READINGS[name]
    z = np.random.default_rng(1).normal(0, 8, (samples, CLASSES))
    perturbation = Perturbation(noise, SIGMA, 1.0, samples, CLASSES, Streams.of(SEED))
    drawn = np.asarray(perturbation.drawn(torch.arange(samples)).double())
    changes = {"multiplicative": (drawn - 1) * z, "additive": drawn, "scaled": (drawn - 1) * z}[noise.form]
    xi = drawn - 1 if noise.form == "multiplicative" else drawn
    independent = CLASSES if noise.per == "batch" else samples * (CLASSES if noise.across == "classes" else 1)
    error = 5 / np.sqrt(2 * independent)
    assert abs(xi.mean()) < SIGMA * 5 / np.sqrt(independent)
    if noise.per == "batch":  # four draws say little about σ: the size is that of the draws
        assert np.sqrt(np.mean(changes**2)) == pytest.approx(np.sqrt(np.mean(xi[0] ** 2)) * 8, rel=0.02)
        return
    size = {"multiplicative": SIGMA * 8, "additive": SIGMA, "scaled": np.sqrt(1 + SIGMA**2) * 8}[noise.form]
    assert np.sqrt(np.mean(changes**2)) == pytest.approx(size, rel=error + 0.01)


@pytest.mark.parametrize("settings", ALL, ids=lambda settings: "-".join(settings.values()))
def test_draws_are_shared_as_the_settings_say(settings: dict[str, Any]) -> None:
    """Over classes with `across: shared`, over samples with `per: batch`, over epochs with `per: image`."""
    noise = Noise.model_validate({**settings, "schedule": "constant"})
    perturbation = Perturbation(noise, SIGMA, 1.0, IMAGES, CLASSES, Streams.of(SEED))
    indices = torch.arange(IMAGES)
    first, second = perturbation.drawn(indices), perturbation.drawn(indices)
    assert bool((first == first[:, :1]).all()) == (noise.across == "shared")
    assert bool((first == first[:1]).all()) == (noise.per == "batch")
    assert torch.equal(first, second) == (noise.per == "image")


@pytest.mark.parametrize("settings", ALL, ids=lambda settings: "-".join(settings.values()))
def test_a_setting_never_moves_the_draws_of_another_source(settings: dict[str, Any]) -> None:
    """After a mini-batch each generator has moved by the draws of its own source, whatever σ, α, form and schedule."""
    noise, streams = Noise.model_validate(settings), Streams.of(SEED)
    perturbation = Perturbation(noise, Uniform(uniform=(0.1, 0.2)), 0.3, IMAGES, CLASSES, streams)
    perturbation.drawn(torch.arange(24), 0.4)
    expected, frozen = Raw(SEED), noise.per == "image"
    rows = IMAGES if frozen else 24
    expected.sigma(IMAGES if frozen else 1, 0.5)
    expected.selected(1 if noise.select == "batch" else rows, 0.5)
    expected.normal(1 if noise.per == "batch" else rows, 1 if noise.across == "shared" else CLASSES)
    for name, state in expected._streams.state_dict().items():
        assert torch.equal(state, streams.state_dict()[name]), name


def test_selection_per_batch_takes_all_samples_or_none() -> None:
    perturbation = Perturbation(READINGS["kd_lib"], 1.0, 0.3, IMAGES, CLASSES, Streams.of(SEED))
    shares = [(perturbation.drawn(torch.arange(IMAGES)) != 1).double().mean().item() for _ in range(400)]
    assert set(shares) == {0.0, 1.0}
    assert abs(np.mean(shares) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 400)


@pytest.mark.parametrize("per", ["sample", "batch", "image"])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_schedule_scales_the_same_draws(schedule: str, per: str) -> None:
    """σ falls to 0 and ξ with it; the selection and the draws are those of the constant σ."""
    constant = perturbed(Noise.model_validate({"per": per}))
    for progress in (0.0, 0.25, 1.0):
        falling = perturbed(Noise.model_validate({"per": per, "schedule": schedule}), progress=progress)
        left = {"linear": 1 - progress, "cosine": (1 + np.cos(np.pi * progress)) / 2}[schedule]
        for batch, full, scaled in zip(BATCHES, constant, falling, strict=True):
            z = LOGITS[batch]
            np.testing.assert_allclose(scaled, z + left * (full - z), rtol=1e-5, atol=1e-5)


def test_a_schedule_falls_from_one_to_zero() -> None:
    for schedule in ("linear", "cosine"):
        shares = [strength(schedule, progress) for progress in (0.0, 0.2, 0.5, 0.8, 1.0)]
        assert shares == sorted(shares, reverse=True)
        assert (shares[0], shares[-1]) == pytest.approx((1, 0))
    assert {strength("constant", progress) for progress in (0.0, 0.5, 1.0)} == {1.0}


def test_selection_per_batch_is_refused_per_image() -> None:
    with pytest.raises(ValidationError, match="`select: batch` with `per: image`"):
        Noise(select="batch", per="image")


def test_readings_have_different_settings_and_are_found() -> None:
    assert len(set(READINGS.values())) == len(READINGS)
    assert {name: reading_of(noise) for name, noise in READINGS.items()} == {name: name for name in READINGS}
    assert reading_of(Noise(schedule="linear")) is None
    assert {"fresh": READINGS["equation_2"], "frozen": READINGS["section_5_2"]} == FORMER_WORDS


@pytest.mark.parametrize(
    ("settings", "words", "label"),
    [
        ({}, [], "fresh"),
        ({"per": "image"}, ["section_5_2"], "frozen"),
        ({"form": "additive", "schedule": "linear"}, ["section_4_1", "linear σ"], "section_4_1, linear σ"),
        ({"schedule": "cosine"}, ["cosine σ"], "cosine σ"),
        ({"across": "shared", "per": "batch"}, ["shared", "per batch"], "shared, per batch"),
    ],
)
def test_noise_is_named_by_its_reading_or_its_settings(settings: dict[str, Any], words: list[str], label: str) -> None:
    noise = Noise.model_validate(settings)
    assert (noise_words(noise), noise_label(noise)) == (words, label)


@pytest.mark.parametrize("unit", [1.0, 8.0])
def test_a_unit_multiplies_sigma(unit: float) -> None:
    noise = READINGS["section_4_1"]
    for sigma in (0.5, Uniform(uniform=(0.1, 1))):
        one, other = (
            Perturbation(noise, sigma, 1.0, IMAGES, CLASSES, Streams.of(SEED), scale).drawn(torch.arange(IMAGES))
            for scale in (1.0, unit)
        )
        torch.testing.assert_close(other, unit * one)
