"""Logit perturbation: z' = (1 + ξ) ⊙ z for a share α of the samples (noisy teacher, section 3.3, equation 2).

Works on factors: a (samples, classes) tensor that is exactly 1 where nothing is perturbed, so that a product with it
leaves those logits bit-identical. Whether the factors meet the teacher's logits or the student's is the caller's
business.
"""

import torch
from torch import Tensor

from study.config import NoiseKind, Sigma, Uniform
from study.distill.streams import Streams


def draw_factors(samples: int, classes: int, sigma: Sigma, alpha: float, streams: Streams) -> Tensor:
    """Fresh factors for one mini-batch.

    Every sample is perturbed with probability α, independently (Bernoulli per sample, not per batch); a perturbed
    sample gets 1 + ξ with ξ ~ N(0, σ²I), one draw per class. A `Uniform` σ is drawn once per call.

    Args:
        samples: rows.
        classes: columns.
        sigma: standard deviation σ ≥ 0 (never the variance), or the range it is drawn from.
        alpha: share of perturbed samples, in [0, 1].
        streams: σ, selection and ξ come from a generator each; each is advanced by the same number of draws
            whatever σ and α are.

    Returns:
        float32 of shape (samples, classes); exactly 1 in the rows of unperturbed samples.
    """
    std = _draw_sigma(1, sigma, streams)
    selected = torch.rand(samples, 1, generator=streams.selection) < alpha
    xi = torch.randn(samples, classes, generator=streams.noise)
    return torch.where(selected, 1 + std * xi, 1.0)


class Perturbation:
    """The factors of every mini-batch of one training: fresh, or frozen to one draw per image.

    Frozen (section 5.2 says in passing that a noisy teacher's logits for a sample stay the same throughout
    training): selection, ξ and a randomised σ are drawn once per training image and used in all epochs; an image
    and its mirror image count as two.
    """

    def __init__(self, sigma: Sigma, alpha: float, kind: NoiseKind, images: int, classes: int, streams: Streams):
        self._sigma, self._alpha, self._classes, self._streams = sigma, alpha, classes, streams
        self._frozen: Tensor | None = None
        if kind == "frozen":
            std = _draw_sigma(images, sigma, streams)
            selected = torch.rand(images, 1, generator=streams.selection) < alpha
            self._frozen = torch.where(selected, 1 + std * torch.randn(images, classes, generator=streams.noise), 1.0)

    def factors(self, indices: Tensor) -> Tensor:
        """The (len(indices), classes) factors of the training images of one mini-batch."""
        if self._frozen is not None:
            return self._frozen[indices]
        return draw_factors(len(indices), self._classes, self._sigma, self._alpha, self._streams)


def _draw_sigma(count: int, sigma: Sigma, streams: Streams) -> Tensor:
    uniform = torch.rand(count, 1, generator=streams.sigma)
    if isinstance(sigma, Uniform):
        return sigma.low + (sigma.high - sigma.low) * uniform
    return torch.full((count, 1), float(sigma))
