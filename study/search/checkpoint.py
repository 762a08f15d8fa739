"""A trial's checkpoint as a file: the digest of its content, then the content.

Works on a dictionary of tensors, numbers and text. Knows nothing of what they mean. PyTorch reads flipped bits inside
a tensor without a word, so the digest is compared before anything is read; and nothing in a file is ever executed.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from study.storage import write_whole

_DIGEST_BYTES = 32


def write_checkpoint(file: Path, state: dict[str, Any]) -> None:
    """Write a state, whole or not at all.

    Raises:
        UserError: the disk is full or the folder cannot be written; the message names the file.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    digest = hashlib.sha256(content).digest()

    def write(path: Path) -> None:
        with open(path, "wb") as out:
            out.write(digest)
            out.write(content)

    write_whole(file, write)


def read_checkpoint(file: Path) -> dict[str, Any]:
    """The state in a file, on the CPU.

    Raises:
        ValueError: the file is not as it was written.
        Exception: PyTorch's own, where a content that fits its digest is not a state (`weights_only`).
    """
    whole = file.read_bytes()
    digest, content = whole[:_DIGEST_BYTES], memoryview(whole)[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("its content is not what was written")
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state
