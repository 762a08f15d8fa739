"""Files that are not as they were written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from study.errors import UserError


def flipped(content: bytes, place: int, bit: int = 0) -> bytes:
    """One bit of one byte is another one."""
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


def flip_in_the_middle(file: Path) -> None:
    """Flip the highest bit but one of a byte of a tensor: of a float32 that is the sign of its exponent."""
    content = file.read_bytes()
    place = len(content) - 4 * (len(content) // 12) + 3 - len(content) % 4
    file.write_bytes(flipped(content, place, 6))


def write_as_before(file: Path, noise: float = 0.0) -> None:
    """Write a file of tensors as an earlier version did, without a digest, and with noise on all of them."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: each + noise * torch.randn(each.shape, generator=generator) if each.is_floating_point() else each
        for name, each in load_file(file).items()
    }
    save_file(tensors, file)


def named_in_one_line(path: Path, read: Callable[[Path], object], times: int = 60) -> int:
    """Damage three bytes of a file at a time, and read it. Any other error than a `UserError` is raised.

    Returns:
        how many times the reader refused it in one line.
    """
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    named = 0
    for _ in range(times):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read(path)
        except UserError as error:
            named += "\n" not in str(error)
    return named
