"""The perturbation of a share α of the samples by noise of standard deviation σ (noisy teacher, section 3.3).

Works on (samples, classes) tensors that hold the form's value for unperturbed samples where nothing is perturbed. Knows
nothing of whose logits are perturbed: the teacher's or the student's.
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from study.noise.settings import Noise
from study.values import Sigma, Uniform


class NoiseStreams(Protocol):
    """A generator on the CPU for each source of chance of the noise."""

    @property
    def sigma(self) -> torch.Generator: ...

    @property
    def selection(self) -> torch.Generator: ...

    @property
    def noise(self) -> torch.Generator: ...


def strength(schedule: str, progress: float) -> float:
    """The share of σ that is left by a schedule (beyond the sources).

    Args:
        schedule: `constant`, `linear` or `cosine`.
        progress: the share of the planned training that is done, in [0, 1].

    Returns:
        1 for `constant`; else falling from 1 to 0.
    """
    if schedule == "linear":
        return 1 - progress
    return (1 + math.cos(math.pi * progress)) / 2 if schedule == "cosine" else 1.0


class Perturbation:
    """The noise of every mini-batch of one training.

    σ, the selection and ξ come from a generator each, which a mini-batch advances by a number of draws that depends on
    its size and on the settings `across`, `per` and `select`, and never on σ, α, the form or the schedule:

    | generator | `per: sample` | `per: batch` | `per: image`, once at the start |
    | --- | --- | --- | --- |
    | σ | 1 | 1 | one for each image |
    | selection | one for each sample; 1 with `select: batch` | the same | one for each image |
    | ξ | one for each sample and class | one for each class | one for each image and class |

    With `across: shared` there is one ξ for all classes. An image and its mirror image count as two.

    Args:
        noise: how it is drawn and applied.
        sigma: standard deviation σ ≥ 0 (never the variance), or the range it is drawn from.
        alpha: share of perturbed samples, in [0, 1].
        images: training images, mirror images among them.
        classes: logits of a sample.
        streams: the generators.
        unit: what σ is multiplied with: the root mean square of the logits, where σ is relative to it.
    """

    def __init__(
        self,
        noise: Noise,
        sigma: Sigma,
        alpha: float,
        images: int,
        classes: int,
        streams: NoiseStreams,
        unit: float = 1.0,
    ):
        self.form = noise.of_form
        self._noise, self._sigma, self._alpha, self._streams, self._unit = noise, sigma, alpha, streams, unit
        self._classes = classes
        self._of_images: tuple[Tensor, Tensor] | None = None
        if noise.per == "image":
            self._of_images = self._selected(images), self._xi(images, images)

    def drawn(self, indices: Tensor, progress: float = 0.0) -> Tensor:
        """The noise of the training images of one mini-batch; it draws from the generators.

        Args:
            indices: of the images, (batch,).
            progress: the share of the planned training that is done, in [0, 1].

        Returns:
            float32 (batch, classes) for `applied`.
        """
        if self._of_images is not None:
            selected, xi = (part[indices] for part in self._of_images)
        else:
            samples = len(indices)
            selected = self._selected(1 if self._noise.select == "batch" else samples)
            xi = self._xi(1, 1 if self._noise.per == "batch" else samples)
        scale = strength(self._noise.schedule, progress)
        drawn = torch.where(selected, self.form.drawn(xi if scale == 1 else xi * scale), self.form.unselected)
        return drawn.expand(len(indices), self._classes)

    def applied(self, logits: Tensor, drawn: Tensor) -> Tensor:
        """The perturbed logits; both arguments are of shape (batch, classes)."""
        return self.form.applied(logits, drawn)

    def _selected(self, count: int) -> Tensor:
        return torch.rand(count, 1, generator=self._streams.selection) < self._alpha

    def _xi(self, sigmas: int, count: int) -> Tensor:
        std = self._draw_sigma(sigmas)
        columns = 1 if self._noise.across == "shared" else self._classes
        return std * self.form.shaped(torch.randn(count, columns, generator=self._streams.noise))

    def _draw_sigma(self, count: int) -> Tensor:
        uniform = torch.rand(count, 1, generator=self._streams.sigma)
        if isinstance(self._sigma, Uniform):
            std = self._sigma.low + (self._sigma.high - self._sigma.low) * uniform
        else:
            std = torch.full((count, 1), float(self._sigma))
        return std if self._unit == 1 else std * self._unit
