"""The perturbation of a share α of the samples by noise of standard deviation σ (noisy teacher, section 3.3).

Works on (samples, classes) tensors that hold the neutral value of their form where nothing is perturbed. Knows nothing
of whose logits are perturbed: the teacher's or the student's.
"""

from typing import Protocol

import torch
from torch import Tensor

from study.noise.form import Form
from study.noise.multiplicative import Multiplicative
from study.values import NoiseKind, Sigma, Uniform


class NoiseStreams(Protocol):
    """A generator on the CPU for each source of chance of the noise."""

    @property
    def sigma(self) -> torch.Generator: ...

    @property
    def selection(self) -> torch.Generator: ...

    @property
    def noise(self) -> torch.Generator: ...


def draw_factors(
    samples: int,
    classes: int,
    sigma: Sigma,
    alpha: float,
    streams: NoiseStreams,
    form: type[Form] = Multiplicative,
) -> Tensor:
    """Fresh noise for one mini-batch.

    Every sample is perturbed with probability α, independently (Bernoulli per sample, not per batch); a perturbed
    sample gets ξ ~ N(0, σ²I), one draw per class. A `Uniform` σ is drawn once per call.

    Args:
        samples: rows.
        classes: columns.
        sigma: standard deviation σ ≥ 0 (never the variance), or the range it is drawn from.
        alpha: share of perturbed samples, in [0, 1].
        streams: σ, selection and ξ come from a generator each; each is advanced by the same number of draws
            whatever σ and α are.
        form: what is made of ξ; by default the factors 1 + ξ.

    Returns:
        float32 of shape (samples, classes); exactly the neutral value of the form in the rows of unperturbed samples.
    """
    std = _draw_sigma(1, sigma, streams)
    return _selected(samples, classes, std, alpha, streams, form)


class Perturbation:
    """The noise of every mini-batch of one training: fresh, or frozen to one draw per image.

    Frozen (section 5.2 says in passing that a noisy teacher's logits for a sample stay the same throughout
    training): selection, ξ and a randomised σ are drawn once per training image and used in all epochs; an image
    and its mirror image count as two.
    """

    def __init__(
        self,
        sigma: Sigma,
        alpha: float,
        kind: NoiseKind,
        images: int,
        classes: int,
        streams: NoiseStreams,
        form: type[Form] = Multiplicative,
    ):
        self.form = form
        self._sigma, self._alpha, self._classes, self._streams = sigma, alpha, classes, streams
        self._frozen: Tensor | None = None
        if kind == "frozen":
            std = _draw_sigma(images, sigma, streams)
            self._frozen = _selected(images, classes, std, alpha, streams, form)

    def factors(self, indices: Tensor) -> Tensor:
        """The noise of the training images of one mini-batch, (len(indices), classes)."""
        if self._frozen is not None:
            return self._frozen[indices]
        return draw_factors(len(indices), self._classes, self._sigma, self._alpha, self._streams, self.form)


def _selected(samples: int, classes: int, std: Tensor, alpha: float, streams: NoiseStreams, form: type[Form]) -> Tensor:
    selected = torch.rand(samples, 1, generator=streams.selection) < alpha
    xi = std * torch.randn(samples, classes, generator=streams.noise)
    return torch.where(selected, form.drawn(xi), form.neutral)


def _draw_sigma(count: int, sigma: Sigma, streams: NoiseStreams) -> Tensor:
    uniform = torch.rand(count, 1, generator=streams.sigma)
    if isinstance(sigma, Uniform):
        return sigma.low + (sigma.high - sigma.low) * uniform
    return torch.full((count, 1), float(sigma))
