"""The target of a student: the logits of its teachers for every training image.

A teacher runs once for each data set, in evaluation mode and without gradients, and never inside a student's trial.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from models import zoo
from study.config import DEFAULT_COMBINATION, Combination, TrialConfig
from study.data.dataset import DatasetFacts
from study.data.tensors import ImageTensors
from study.digests import Damaged
from study.distill.denormals import flushed_denormals
from study.distill.precision import fp32_products
from study.distill.tensor_files import read_tensors
from study.errors import UserError


@flushed_denormals()
@fp32_products()
def logits_of(teacher: nn.Module, images: ImageTensors, block: int = 500) -> Tensor:
    """The teacher's logits for every image in order. Mirror images follow the images.

    Returns:
        float32 of shape (images, classes) on the CPU.
    """
    teacher.eval()
    with torch.inference_mode():
        return torch.cat([teacher(batch).float().cpu() for batch, _ in images.blocks(block)])


@flushed_denormals()
def combined(logits: Sequence[Tensor], how: Combination = DEFAULT_COMBINATION) -> Tensor:
    """The target of one or several teachers: logits for every image.

    `geometric_mean` is the geometric mean of the teachers' output distributions. It is the arithmetic mean of their
    logits, up to a constant for each sample that the softmax cancels. `signed_geometric_mean` takes "the geometric mean
    of the logits" (noisy teacher, section 5.4) literally, although logits can be negative: it is
    sign(mean)·exp(mean(log|z|)), and zero if the logit of any teacher is zero. `mean_distribution` is the logarithm of
    the mean of the output distributions, which is the output of an ensemble. Its softmax is that mean.

    Args:
        logits: the logits of each teacher, (images, classes).
        how: how they are combined. With one teacher, both geometric means are its logits.

    Returns:
        (images, classes), of the logits' type.
    """
    if how == "mean_distribution":
        log_probabilities = torch.stack([one.double().log_softmax(dim=1) for one in logits])
        return (log_probabilities.logsumexp(dim=0) - math.log(len(logits))).to(logits[0].dtype)
    if len(logits) == 1:
        return logits[0]
    stacked = torch.stack(tuple(logits))
    if how == "signed_geometric_mean":
        # In double precision, so that equal logits stay unchanged by logarithm and exponential.
        z = stacked.double()
        return (z.mean(dim=0).sign() * z.abs().log().mean(dim=0).exp()).to(stacked.dtype)
    return stacked.mean(dim=0)


@flushed_denormals()
def load_weights(network: nn.Module, file: Path) -> None:
    """Load a safetensors file into a network.

    Raises:
        UserError: the file cannot be read, is damaged, is not a safetensors file, has numbers that are not finite, or
            does not fit the network.
    """
    tensors = _read_weights(file)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"weights {file}: they do not fit the network ({reason})") from None


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        return read_tensors(file)
    except FileNotFoundError:
        raise UserError(f"weights {file}: no such file; give the path of a .safetensors file") from None
    except Damaged as error:
        raise UserError(f"weights {file}: {error}") from None
    except OSError as error:
        raise UserError(f"weights {file}: cannot be read ({error.strerror or error})") from None


def check_given_weights(teachers: Iterable[TrialConfig], facts: DatasetFacts) -> None:
    """Check the weights files that a study file names, before the study writes anything.

    Args:
        teachers: all teachers of the study. Those that are trained are skipped.
        facts: shape and classes of the images. If they are not known yet, only the files are checked.

    Raises:
        UserError: as `load_weights`.
    """
    for teacher in teachers:
        if teacher.weights is None:
            continue
        file, shape, classes = Path(teacher.weights), facts.input_shape, facts.class_count
        if shape is None or classes is None:
            _read_weights(file)
        else:
            load_weights(zoo.build(teacher.network, shape, classes), file)
