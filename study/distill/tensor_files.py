"""Tensors as safetensors files with a digest of their content: weights and logits.

Works on tensors by name, and on files. Knows nothing of networks or teachers. safetensors itself does not detect
flipped bits inside a tensor.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from study.digests import PLACEHOLDER, Damaged, read_checked, with_digest
from study.errors import UserError
from study.storage import write_whole


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a file atomically.

    Raises:
        UserError: the disk is full or the folder cannot be written; the message names the file.
    """
    content = save(_apart(tensors), {"digest": PLACEHOLDER})
    whole = with_digest(content)
    write_whole(file, lambda path: path.write_bytes(whole))


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of which no two share memory. A network of the user may use one weight under two names."""
    found: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        found[name] = tensor.detach().contiguous()
        if found[name].untyped_storage().data_ptr() in storages:
            found[name] = found[name].clone()
        storages.add(found[name].untyped_storage().data_ptr())
    return found


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
    _check_finite(tensors)
    return tensors


@contextmanager
def naming(what: str, kinds: str) -> Iterator[None]:
    """Around the reading of a file that a study file names.

    Args:
        what: the file with its role, for the message: `weights big.pt`.
        kinds: of files that can be read, in words.

    Raises:
        UserError: the file is not there, is damaged, or cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{what}: no such file; give the path of a {kinds} file") from None
    except Damaged as error:
        raise UserError(f"{what}: {error}") from None
    except OSError as error:
        raise UserError(f"{what}: cannot be read ({error.strerror or error})") from None


PYTORCH_FILES = (".pt", ".pth", ".bin", ".ckpt")
"""Extensions of files that `torch.save` writes."""

_NESTED = ("state_dict", "model_state_dict", "model")
"""Under which key training programs put the weights of a network into a larger file."""

_PREFIXES = ("module.", "_orig_mod.")
"""What `DataParallel` and `torch.compile` put before the name of every tensor."""


def read_given(file: Path) -> dict[str, Tensor]:
    """The weights in a file of somebody else, by name, on the CPU: safetensors, or a PyTorch file by its extension.

    A PyTorch file is read with `weights_only=True`, so that nothing in it is executed. It has the tensors themselves,
    or has them under `state_dict`, `model_state_dict` or `model`.

    Raises:
        FileNotFoundError, Damaged, OSError: as `read_tensors`.
    """
    if file.suffix not in PYTORCH_FILES:
        return read_tensors(file)
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that PyTorch did not write
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - a file that is no such file may raise anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
        raise Damaged(f"not a file of tensors that PyTorch reads without running code ({reason})") from None
    if isinstance(content, Mapping):
        content = next((content[key] for key in _NESTED if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping):
        raise Damaged(f"has a {type(content).__name__}, not tensors by name; save network.state_dict()")
    for name, tensor in content.items():
        if not isinstance(tensor, Tensor):
            raise Damaged(f"{name} is a {type(tensor).__name__}, not a tensor; save network.state_dict()")
    tensors = {str(name): tensor for name, tensor in content.items()}
    for prefix in _PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    _check_finite(tensors)
    return tensors


def _check_finite(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.float().isfinite().all()):
            raise Damaged(f"{name} has numbers that are NaN or infinite")


def is_damaged(file: Path) -> bool:
    """Whether a file of tensors exists and is damaged."""
    try:
        read_tensors(file)
    except FileNotFoundError:
        return False
    except (Damaged, OSError):
        return True
    return False
