"""Tensors as safetensors files with a digest of their content: weights and logits.

Works on tensors by name, and on files. Knows nothing of networks or teachers. safetensors itself does not detect
flipped bits inside a tensor.
"""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from study.digests import PLACEHOLDER, Damaged, read_checked, with_digest
from study.storage import write_whole


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a file atomically.

    Raises:
        UserError: the disk is full or the folder cannot be written; the message names the file.
    """
    content = save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, {"digest": PLACEHOLDER})
    whole = with_digest(content)
    write_whole(file, lambda path: path.write_bytes(whole))


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors in a file, on the CPU. The digest is checked if the file has one. Other programs write none.

    Raises:
        FileNotFoundError: there is no such file.
        Damaged: the file changed since it was written, is not a safetensors file, or has numbers that are not finite.
        OSError: it cannot be read.
    """
    content = read_checked(file)
    try:
        tensors: dict[str, Tensor] = load(content)
    except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise Damaged(f"not a safetensors file ({' '.join(str(error).split())[:200]})") from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.float().isfinite().all()):
            raise Damaged(f"{name} has numbers that are NaN or infinite")
    return tensors


def is_damaged(file: Path) -> bool:
    """Whether a file of tensors exists and is damaged."""
    try:
        read_tensors(file)
    except FileNotFoundError:
        return False
    except (Damaged, OSError):
        return True
    return False
