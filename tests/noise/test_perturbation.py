"""The perturbation of logits is the published one: per sample, per class, of standard deviation σ, for a share α."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.noise import draw_factors
from torch import Tensor

from study.config import Sigma, Uniform
from study.distill.streams import Streams
from study.noise.perturbation import Perturbation
from study.noise.settings import Noise

SAMPLES, CLASSES, SIGMA, ALPHA = 20_000, 6, 0.6, 0.3
FRESH, FROZEN = Noise(), Noise(per="image")

seeds = st.integers(0, 2**31 - 1)
sigmas = st.one_of(
    st.floats(0, 100), st.tuples(st.floats(0, 100), st.floats(0, 100)).map(lambda ends: _uniform(*sorted(ends)))
)


def _uniform(low: float, high: float) -> Uniform:
    return Uniform(uniform=(low, high))


@pytest.fixture(scope="module")
def factors() -> Tensor:
    return draw_factors(SAMPLES, CLASSES, SIGMA, ALPHA, Streams.of(1))


@pytest.fixture(scope="module")
def ratios(factors: Tensor) -> npt.NDArray[np.float64]:
    """z'/z of the perturbed samples, for logits of both signs."""
    logits = torch.randn(SAMPLES, CLASSES, generator=torch.Generator().manual_seed(2)).double() + 3
    ratio = (factors.double() * logits / logits)[_perturbed(factors)]
    return np.asarray(ratio)


def _perturbed(factors: Tensor) -> Tensor:
    return (factors != 1).any(dim=1)


def test_a_share_alpha_of_the_samples_is_perturbed(factors: Tensor) -> None:
    standard_error = (ALPHA * (1 - ALPHA) / SAMPLES) ** 0.5
    assert abs(_perturbed(factors).double().mean().item() - ALPHA) < 4 * standard_error


def test_the_logits_of_all_other_samples_stay_bit_identical(factors: Tensor) -> None:
    logits = torch.randn(SAMPLES, CLASSES, generator=torch.Generator().manual_seed(2)) * 10
    others = ~_perturbed(factors)
    assert torch.equal((logits * factors)[others], logits[others])


def test_perturbed_ratios_have_mean_one_in_every_class(ratios: npt.NDArray[np.float64]) -> None:
    assert np.abs(ratios.mean(axis=0) - 1).max() < 4 * SIGMA / len(ratios) ** 0.5


def test_sigma_is_a_standard_deviation(ratios: npt.NDArray[np.float64]) -> None:
    """Sigma is the standard deviation in every class, not the variance."""
    assert np.abs(ratios.std(axis=0, ddof=1) - SIGMA).max() < 4 * SIGMA / (2 * len(ratios)) ** 0.5


def test_the_perturbation_is_normal(ratios: npt.NDArray[np.float64]) -> None:
    assert stats.kstest((ratios.ravel() - 1) / SIGMA, "norm").pvalue > 1e-3


def test_classes_are_perturbed_independently(ratios: npt.NDArray[np.float64]) -> None:
    correlations = np.corrcoef(ratios.T) - np.eye(CLASSES)
    assert np.abs(correlations).max() < 4 / len(ratios) ** 0.5


def test_samples_are_perturbed_and_selected_independently(factors: Tensor, ratios: npt.NDArray[np.float64]) -> None:
    selected = _perturbed(factors).double().numpy()
    assert abs(np.corrcoef(ratios[:-1, 0], ratios[1:, 0])[0, 1]) < 4 / len(ratios) ** 0.5
    assert abs(np.corrcoef(selected[:-1], selected[1:])[0, 1]) < 4 / SAMPLES**0.5


def test_two_mini_batches_of_one_training_differ() -> None:
    streams = Streams.of(0)
    first, second = (draw_factors(64, 10, SIGMA, ALPHA, streams) for _ in range(2))
    assert not torch.equal(_perturbed(first), _perturbed(second))
    assert not torch.equal(first, second)


def test_samples_are_selected_one_by_one() -> None:
    streams, batches, size = Streams.of(0), 500, 64
    counts = np.array([int(_perturbed(draw_factors(size, 4, 1.0, 0.5, streams)).sum()) for _ in range(batches)])
    assert counts.min() > 0
    assert counts.max() < size
    assert counts.var() == pytest.approx(size * 0.5 * 0.5, rel=0.25)  # of a binomial distribution


def test_random_sigma_is_drawn_once_per_batch() -> None:
    """A randomised sigma is drawn once for each mini-batch, uniformly within its bounds."""
    streams = Streams.of(0)
    batches = [draw_factors(64, 20, _uniform(0.01, 1), 1.0, streams).double() for _ in range(400)]
    halves = np.array([[half.std().item() for half in torch.split(batch, 32)] for batch in batches])
    assert np.abs(halves[:, 0] / halves[:, 1] - 1).max() < 0.25  # one σ for the whole batch ...
    assert stats.kstest(halves.mean(axis=1), stats.uniform(0.01, 0.99).cdf).pvalue > 1e-3  # ... and a new one for each


def test_fresh_noise_differs_between_epochs() -> None:
    """The same images get other noise in the next epoch."""
    noise = Perturbation(FRESH, SIGMA, 1.0, 50, CLASSES, Streams.of(0))
    indices = torch.arange(50)
    assert not torch.equal(noise.drawn(indices), noise.drawn(indices))


@pytest.mark.parametrize("sigma", [SIGMA, _uniform(0.3, 0.9)])
def test_frozen_noise_stays_the_same_per_image(sigma: Sigma) -> None:
    """An image gets the same frozen noise in every epoch and in every order of the images."""
    noise = Perturbation(FROZEN, sigma, ALPHA, 50, CLASSES, Streams.of(0))
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    first, second = noise.drawn(torch.arange(50)), noise.drawn(order)
    assert torch.equal(first[order], second)


def test_frozen_noise_differs_for_mirror_images() -> None:
    """An image and its mirror image get different frozen noise."""
    stored = 25  # index 25 + i is the mirror image of image i
    noise = Perturbation(FROZEN, SIGMA, 1.0, 2 * stored, CLASSES, Streams.of(0))
    image, mirrored = noise.drawn(torch.arange(stored)), noise.drawn(torch.arange(stored) + stored)
    assert (image != mirrored).all()


def test_frozen_noise_is_distributed_like_fresh_noise() -> None:
    frozen = Perturbation(FROZEN, SIGMA, ALPHA, SAMPLES, CLASSES, Streams.of(1)).drawn(torch.arange(SAMPLES))
    perturbed = frozen[_perturbed(frozen)].double()
    assert len(perturbed) / SAMPLES == pytest.approx(ALPHA, abs=0.013)
    assert perturbed.mean().item() == pytest.approx(1, abs=0.02)
    assert perturbed.std().item() == pytest.approx(SIGMA, abs=0.02)


def test_sample_selection_ignores_earlier_noise() -> None:
    """Which samples are selected does not depend on how much noise was drawn before."""
    few, many = Streams.of(7), Streams.of(7)
    for _ in range(3):
        one, other = draw_factors(64, 3, SIGMA, ALPHA, few), draw_factors(64, 100, SIGMA, ALPHA, many)
        assert torch.equal(_perturbed(one), _perturbed(other))


def test_a_larger_alpha_perturbs_the_same_samples_and_more() -> None:
    few, many = (_perturbed(draw_factors(1000, 5, SIGMA, alpha, Streams.of(7))) for alpha in (0.2, 0.6))
    assert few.sum() < many.sum()
    assert not (few & ~many).any()


@given(st.integers(0, 40), st.integers(1, 12), sigmas, st.floats(0, 1), seeds)
@settings(deadline=None)
def test_unselected_rows_have_factors_of_one(samples: int, classes: int, sigma: Sigma, alpha: float, seed: int) -> None:
    """There is one factor per logit, and it is exactly one in unselected rows."""
    factors = draw_factors(samples, classes, sigma, alpha, Streams.of(seed))
    selected = torch.rand(samples, 1, generator=Streams.of(seed).selection) < alpha
    assert factors.shape == (samples, classes)
    assert factors.dtype == torch.float32
    assert factors.isfinite().all()
    assert (factors[~selected[:, 0]] == 1).all()


@given(st.integers(1, 40), st.integers(1, 12), sigmas, seeds, st.sampled_from([FRESH, FROZEN]))
@settings(deadline=None)
def test_without_alpha_or_sigma_all_factors_are_exactly_one(
    images: int, classes: int, sigma: Sigma, seed: int, noise: Noise
) -> None:
    everything = torch.arange(images)
    for nothing, alpha in ((sigma, 0.0), (0.0, 1.0), (_uniform(0, 0), 1.0)):
        without = Perturbation(noise, nothing, alpha, images, classes, Streams.of(seed))
        assert (without.drawn(everything) == 1).all()


@given(sigmas, sigmas, st.floats(0, 1), st.floats(0, 1), seeds)
@settings(deadline=None)
def test_later_draws_do_not_depend_on_sigma_or_alpha(
    sigma: Sigma, other_sigma: Sigma, alpha: float, other_alpha: float, seed: int
) -> None:
    one, other = Streams.of(seed), Streams.of(seed)
    draw_factors(8, 3, sigma, alpha, one)
    draw_factors(8, 3, other_sigma, other_alpha, other)
    assert all(torch.equal(state, other.state_dict()[name]) for name, state in one.state_dict().items())
