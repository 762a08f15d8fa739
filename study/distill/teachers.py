"""The target of a student: the logits of its teachers for every training image.

A teacher runs once for each data set, in evaluation mode and without gradients, and never inside a student's trial.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from models import zoo
from models.zoo import weights_file
from study.config import DEFAULT_COMBINATION, Combination, TrialConfig
from study.data.dataset import Dataset, DatasetFacts
from study.data.tensors import ImageTensors
from study.distill.denormals import flushed_denormals
from study.distill.given_logits import read_logits
from study.distill.precision import fp32_products
from study.distill.tensor_files import naming, read_given
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
def load_weights(network: nn.Module, file: Path, strict: bool = True) -> None:
    """Load a file of weights into a network.

    Args:
        network: of any kind.
        file: safetensors, or a PyTorch file (`study.distill.tensor_files.read_given`).
        strict: whether the file must have exactly the tensors of the network. If not, tensors that the network does not
            have are ignored, and buffers may be missing. A weight is never missing.

    Raises:
        UserError: the file cannot be read, is damaged, is not such a file, has numbers that are not finite, or does not
            fit the network. The message names the tensors that do not fit.
    """
    tensors, own = _read_weights(file), network.state_dict()
    buffers = own.keys() - dict(network.named_parameters(remove_duplicate=False)).keys()
    missing = [name for name in own if name not in tensors and (strict or name not in buffers)]
    unknown = [name for name in tensors if name not in own]
    wrong = [
        f"{name} is {_kind(tensors[name])}, expected {_kind(own[name])}"
        for name in own
        if name in tensors and _kind(tensors[name]) != _kind(own[name])
    ]
    reasons = [f"missing: {_some(missing)}"] if missing else []
    reasons += [f"not in the network: {_some(unknown)}"] if unknown and strict else []
    reasons += [_some(wrong)] if wrong else []
    if reasons:
        hint = "; `strict: false` ignores these tensors" if unknown and not missing and not wrong else ""
        raise UserError(f"weights {file}: they do not fit the network ({'; '.join(reasons)}){hint}")
    network.load_state_dict({name: tensor for name, tensor in tensors.items() if name in own}, strict=False)


def _kind(tensor: Tensor) -> str:
    """Shape and kind of number. A tensor of another kind would be converted without a word."""
    kind = "complex" if tensor.is_complex() else "float" if tensor.is_floating_point() else "integer"
    return f"{'bool' if tensor.dtype == torch.bool else kind} {tuple(tensor.shape)}"


def _some(words: Sequence[str]) -> str:
    shown = ", ".join(" ".join(word.split())[:100] for word in words[:3])
    return shown + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def _read_weights(file: Path) -> dict[str, Tensor]:
    with naming(f"weights {file}", ".safetensors, .pt or .pth"):
        return read_given(file)


def check_given_files(teachers: Iterable[TrialConfig], facts: DatasetFacts, dataset: Dataset | None = None) -> None:
    """Check the files of weights and logits that a study file names, before the study writes anything.

    Args:
        teachers: all teachers of the study. Those that are trained are skipped.
        facts: shape and classes of the images. If they are not known yet, only the files are checked.
        dataset: the images, if they are read already. Without them, the number of rows of logits is not checked.

    Raises:
        UserError: as `load_weights` and `study.distill.given_logits.read_logits`.
    """
    shape, classes = facts.input_shape, facts.class_count
    for teacher in teachers:
        if teacher.logits is not None:
            given = read_logits(Path(teacher.logits), classes)
            if dataset is not None:
                given.check(dataset)
        if teacher.weights is None:
            continue
        file = weights_file(teacher.weights)
        if shape is None or classes is None:
            _read_weights(file)
        else:
            load_weights(zoo.build(teacher.network, shape, classes), file, teacher.strict)
