"""Teachers' logits on disk, each made once and found again by its key (`study.planning.keys.logits_key`).

Works on tensors and files. Files are safetensors with a digest of their content, written whole or not at all.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from study.digests import Damaged
from study.distill.tensor_files import read_tensors, write_tensors


def file_digest(path: Path) -> str:
    """SHA-256 in hex of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 in hex of a tensor's values."""
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


class LogitStore:
    """Logits for every training image of a dataset, one file a teacher and dataset."""

    def __init__(self, folder: Path):
        self._folder = folder

    def path(self, key: str) -> Path:
        return self._folder / f"{key}.safetensors"

    def read(self, key: str, images: int, classes: int | None = None) -> Tensor | None:
        """The stored logits, or None where there are none that are as they were written.

        Args:
            key: of the teacher and the images.
            images: how many there are, mirror images included.
            classes: how many logits an image has; None if that is not known.

        Returns:
            finite float32 numbers, (images, classes).
        """
        try:
            logits = read_tensors(self.path(key)).get("logits")
        except (Damaged, OSError):
            return None
        if logits is None or logits.dim() != 2 or logits.dtype != torch.float32:
            return None
        fits = len(logits) == images and classes in (None, logits.shape[1])
        return logits if fits else None

    def write(self, key: str, logits: Tensor) -> None:
        """Store (images, classes) logits as float32.

        Raises:
            UserError: the disk is full or the folder cannot be written; the message names the file.
        """
        write_tensors(self.path(key), {"logits": logits.float()})
