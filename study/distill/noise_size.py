"""The size of the noise of a training, in units of logits.

Works on a `TrialConfig` and on logits in memory. Knows nothing of images and losses.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from study.config import TrialConfig
from study.distill.streams import Streams
from study.noise.perturbation import Perturbation
from study.noise.settings import Noise


def root_mean_square(logits: Tensor) -> float:
    """The root mean square over all samples and classes."""
    return float(logits.double().square().mean().sqrt())


def perturbation_of(trial: TrialConfig, target: Tensor | None, streams: Streams) -> Perturbation | None:
    """The noise of a training, on the teachers' or the student's logits. None if the training has no noise.

    Args:
        trial: the training.
        target: the teachers' combined logits for every training image, (images, classes); None without teachers.
        streams: the generators of the training's seed.
    """
    if target is None or not trial.has_noise:
        return None
    noise: Noise = trial.noise
    is_relative = trial.sigma_unit == "logit_rms" and noise.of_form.in_logit_units
    unit = root_mean_square(target) if is_relative else 1.0
    return Perturbation(noise, trial.sigma, trial.alpha, len(target), target.shape[1], streams, unit)


def noise_rms(trial: TrialConfig, target: Tensor, sizes: Sequence[int], students: Tensor | None) -> float | None:
    """Root mean square of the perturbation z′ − z of one logit, over the samples that are perturbed.

    The draws are those of the first epoch, with the σ that a training has before a schedule lowers it. If the form of
    the noise also changes samples that are not selected, every sample counts as perturbed.

    Args:
        trial: the training.
        target: the teachers' combined logits for every training image, (images, classes).
        sizes: the sizes of the mini-batches of an epoch.
        students: the student's logits, (samples, classes), if the noise is on them. They get the first draws.

    Returns:
        the size; None without noise, and if the first epoch perturbs no sample.
    """
    streams = Streams.of(trial.seed)
    noise = perturbation_of(trial, target, streams)
    if noise is None:
        return None
    order = torch.randperm(len(target), generator=streams.order)
    drawn = torch.cat([noise.drawn(indices) for indices in torch.split(order, list(sizes))])
    logits = target.cpu()[order]
    if students is not None:
        logits, drawn = students, drawn[torch.arange(len(students)) % len(drawn)]
    changes = noise.applied(logits, drawn) - logits
    if noise.form.vanishes:
        changes = changes[(drawn != noise.form.unselected).any(dim=1)]
    return root_mean_square(changes) if len(changes) else None
