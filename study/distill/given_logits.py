"""The logits of a teacher that lives elsewhere, read from a file: of another program, or from behind an API.

Works on a file and on a data set, which knows the place of each image among the training images as they were read. The
file is `.npz` or safetensors, and has

- `train`: one row for each training image of the data set, before any is held out, (N, classes); with mirror images
  behind them, (2N, classes);
- `test`, which may be missing: one row for each test image.

Knows nothing of networks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from torch import Tensor

from study.data.dataset import Dataset
from study.digests import Damaged
from study.distill.tensor_files import naming, read_tensors
from study.errors import UserError

MAX_BYTES = 16 * 2**30
"""The largest array that is read, unpacked. A small file could else fill the memory."""


@dataclass(frozen=True)
class GivenLogits:
    """The content of a file, float32.

    Attributes:
        file: where it lies.
        train: (N or 2N, classes).
        test: (test images, classes); None if the file has none.
    """

    file: Path
    train: Tensor
    test: Tensor | None

    def check(self, dataset: Dataset) -> None:
        """Compare the rows with the images.

        Raises:
            UserError: the file has more or fewer rows than images, or no rows for mirror images.
        """
        images, rows = dataset.read_images, len(self.train)
        if rows not in (images, 2 * images):
            raise UserError(
                f"logits {self.file}: train has {rows} rows; expected one for each of the {images} training images of "
                f"{dataset.name}, before any is held out, or {2 * images} with rows for the mirror images behind them"
            )
        if dataset.mirror and rows == images:
            raise UserError(
                f"logits {self.file}: train has no rows for mirror images, which `augment: [mirror]` trains on; put "
                f"{images} rows for them behind the others"
            )
        if self.test is not None and len(self.test) != len(dataset.test):
            raise UserError(
                f"logits {self.file}: test has {len(self.test)} rows, and {dataset.name} has {len(dataset.test)} test "
                "images"
            )

    def of(self, dataset: Dataset, split: Literal["train", "validation"]) -> Tensor:
        """The logits of the images of a split, in the order of `ImageTensors.of`, (images, classes)."""
        self.check(dataset)
        rows = torch.from_numpy(dataset.train_rows if split == "train" else dataset.validation_rows)
        if split == "train" and dataset.mirror:
            rows = torch.cat([rows, rows + dataset.read_images])
        return self.train[rows]


def read_logits(file: Path, classes: int | None) -> GivenLogits:
    """Read a file of logits.

    Args:
        file: `.npz`, or safetensors.
        classes: of the data set; None if they are not known.

    Raises:
        UserError: it cannot be read, lacks `train`, or has something else than finite numbers (rows, classes).
    """
    with naming(f"logits {file}", ".npz or .safetensors"):
        arrays = _read_npz(file) if file.suffix == ".npz" else read_tensors(file)
    if "train" not in arrays:
        known = ", ".join(sorted(arrays))[:200] or "nothing"
        raise UserError(f"logits {file}: has no array `train`, but {known}")
    parts = {name: _checked(file, name, arrays[name], classes) for name in ("train", "test") if name in arrays}
    return GivenLogits(file, parts["train"], parts.get("test"))


def _checked(file: Path, name: str, logits: Tensor, classes: int | None) -> Tensor:
    what = f"logits {file}: {name}"
    if not logits.is_floating_point() or logits.dim() != 2:
        raise UserError(f"{what} is {logits.dtype} {tuple(logits.shape)}; expected floating-point (rows, classes)")
    if classes is not None and logits.shape[1] != classes:
        raise UserError(f"{what} has {logits.shape[1]} columns; expected one for each of the {classes} classes")
    if not bool(logits.isfinite().all()):
        raise UserError(f"{what} has numbers that are NaN or infinite")
    return logits.float()


def _read_npz(file: Path) -> dict[str, Tensor]:
    """The arrays of a `.npz`, without pickles."""
    try:
        with ZipFile(file) as archive:
            large = [entry.filename for entry in archive.infolist() if entry.file_size > MAX_BYTES]
        if large:
            raise Damaged(f"{large[0]} is larger than {MAX_BYTES >> 30} GiB")
        with np.load(file, allow_pickle=False) as content:
            return {name: torch.from_numpy(content[name]) for name in content.files if name in ("train", "test")}
    except (BadZipFile, ValueError, TypeError, EOFError, KeyError) as error:
        raise Damaged(f"not a .npz file of numbers ({' '.join(str(error).split())[:200]})") from None
