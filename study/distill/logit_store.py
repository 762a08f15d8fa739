"""Teachers' logits on disk, each made once and found again by its key (`study.planning.keys.logits_key`).

Works on tensors and files. Files are safetensors, written whole or not at all.
"""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from study.storage import write_whole


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

    def read(self, key: str, images: int) -> Tensor | None:
        """The stored (images, classes) float32 logits, or None where there are none that can be read whole."""
        try:
            with safe_open(self.path(key), framework="pt") as file:
                logits: Tensor = file.get_tensor("logits")
        except (FileNotFoundError, SafetensorError, OSError):
            return None
        fits = logits.dim() == 2 and len(logits) == images and logits.dtype == torch.float32
        return logits if fits else None

    def write(self, key: str, logits: Tensor) -> None:
        content = save({"logits": logits.detach().float().contiguous()})
        write_whole(self.path(key), lambda path: path.write_bytes(content))
