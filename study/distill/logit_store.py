"""Stores the logits of teachers on disk, by their key (`study.planning.keys.logits_key`).

Works on tensors and files. The files are safetensors with a digest of their content. They are written atomically. So
the logits of a teacher are computed only once.
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
    """Logits of every training image of a data set, one file for each teacher and data set."""

    def __init__(self, folder: Path):
        self._folder = folder

    def path(self, key: str) -> Path:
        return self._folder / f"{key}.safetensors"

    def read(self, key: str, images: int, classes: int | None = None) -> Tensor | None:
        """The stored logits. None if there are none, or if the file is damaged or has another shape.

        Args:
            key: the key of the teacher and the images.
            images: the number of images, including mirror images.
            classes: the number of logits of an image; None if that is not known.

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
