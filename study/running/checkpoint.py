"""A trial's checkpoint as a file: a SHA-256 digest, then the content.

Works on a dictionary of tensors, numbers and text. Knows nothing of what they mean. PyTorch does not notice flipped
bits inside a tensor, so the digest is checked before the content is loaded. No code from a file is executed.
"""

import hashlib
import io
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch

from study.digests import PLACEHOLDER, Damaged, check_digest, label
from study.storage import write_whole


def write_checkpoint(file: Path, state: dict[str, Any]) -> None:
    """Write a state atomically, without a second copy of it in memory.

    Raises:
        UserError: the disk is full or the folder cannot be written; the message names the file.
    """

    def write(path: Path) -> None:
        with open(path, "wb") as out:
            content = _Digested(out)
            content.write(PLACEHOLDER.encode())
            try:
                torch.save(state, cast(IO[bytes], content))
            except RuntimeError:
                if content.error is not None:  # PyTorch's error does not contain the reason
                    raise content.error from None
                raise
            out.seek(0)
            out.write(label(content.sha))

    write_whole(file, write)


class _Digested:
    """A file that computes the digest of what is written to it, and keeps the error of a write that failed."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.sha = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        self.sha.update(content)
        try:
            return self._out.write(content)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._out.flush()


def read_checkpoint(file: Path) -> dict[str, Any]:
    """The state in a file, on the CPU.

    Raises:
        Damaged: the file is not as it was written.
        Exception: PyTorch's own, where a content that fits its digest is not a state (`weights_only`).
    """
    whole = file.read_bytes()
    if not check_digest(whole):
        raise Damaged
    content = io.BytesIO(memoryview(whole)[len(PLACEHOLDER) :])
    state: dict[str, Any] = torch.load(content, map_location="cpu", weights_only=True)
    return state
