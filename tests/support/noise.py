"""The noise of one mini-batch, without a training."""

import torch
from torch import Tensor

from study.config import Sigma
from study.distill.streams import Streams
from study.noise.perturbation import Perturbation
from study.noise.settings import Noise


def draw_factors(
    samples: int, classes: int, sigma: Sigma, alpha: float, streams: Streams, noise: Noise | None = None
) -> Tensor:
    """What is drawn for one mini-batch of `samples` images: the factors 1 + ξ of the default noise."""
    return Perturbation(noise or Noise(), sigma, alpha, samples, classes, streams).drawn(torch.arange(samples))
