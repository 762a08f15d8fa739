"""What a student learns from: the logits of fixed teachers for every training image.

A teacher runs once per dataset, in evaluation mode and without gradients, never inside a trial.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from study.data.batches import ImageTensors
from study.errors import UserError


def logits_of(teacher: nn.Module, images: ImageTensors, block: int = 500) -> Tensor:
    """The teacher's logits for every image in order, mirror images behind the images.

    Returns:
        float32 of shape (images, classes) on the CPU.
    """
    teacher.eval()
    with torch.inference_mode():
        return torch.cat([teacher(batch).float().cpu() for batch, _ in images.blocks(block)])


def combined(logits: Sequence[Tensor]) -> Tensor:
    """The target of several teachers: the geometric mean of their output distributions.

    That is the arithmetic mean of their logits, up to a constant per sample which no softmax sees (noisy teacher,
    section 5.3, with logits that may be negative). One teacher is its own combination.
    """
    return logits[0] if len(logits) == 1 else torch.stack(tuple(logits)).mean(dim=0)


def load_weights(network: nn.Module, file: Path) -> None:
    """Load a safetensors file into a network.

    Raises:
        UserError: the file cannot be read, is not safetensors, or does not fit the network.
    """
    try:
        network.load_state_dict(load_file(file))
    except FileNotFoundError:
        raise UserError(f"weights {file}: no such file; give the path of a .safetensors file") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"weights {file}: not a safetensors file ({' '.join(str(error).split())[:200]})") from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"weights {file}: they do not fit the network ({reason})") from None
