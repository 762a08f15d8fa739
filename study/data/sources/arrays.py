"""Images and labels as arrays or tables: an `.npz` file, a folder with `metadata.csv`, or Parquet files.

Works on a path, and knows who reads what lies there: `study.data.npz_images` an `.npz` file, `study.data.listed` what
Hugging Face writes. Knows nothing of preprocessing.
"""

import os
from pathlib import Path

from study.config import DataConfig
from study.data.dataset import DatasetFacts, RawDataset
from study.data.files.decoding import Rendering
from study.data.files.kinds import kind_of
from study.data.listed import PARQUET, open_listed
from study.data.npz_images import describe_npz, read_npz
from study.data.source import Source, path_of
from study.data.sources.image_folder import MAX_TOTAL_BYTES, decoded, described, rendering_of
from study.errors import UserError


def read_arrays(path: Path, rendering: Rendering | None = None, split_seed: int = 0) -> RawDataset:
    """Read the images and labels of a file or folder.

    Args:
        path: an `.npz` file, a Parquet file, or a folder with `metadata.csv` or Parquet files.
        rendering: how pictures become pixels.
        split_seed: fixes which images are drawn as the test set, where a table has none.

    Raises:
        UserError: one line that names the file and the array, column, row or line that is wrong.
    """
    rendering = rendering or Rendering(most_bytes=MAX_TOTAL_BYTES)
    if _is_listed(path):
        return decoded(*open_listed(path, split_seed, MAX_TOTAL_BYTES), rendering)
    return read_npz(path, rendering)


def describe_arrays(path: Path, rendering: Rendering | None = None, split_seed: int = 0) -> DatasetFacts:
    """The shape and the class count. Of an `.npz` file only the header is read; pictures are opened.

    Raises:
        UserError: as `read_arrays`, but for what only the pixels show.
    """
    rendering = rendering or Rendering()
    if _is_listed(path):
        return described(*open_listed(path, split_seed, MAX_TOTAL_BYTES), rendering)
    return describe_npz(path, rendering)


def _is_listed(path: Path) -> bool:
    """Whether pictures and labels are listed in tables; else they are arrays."""
    if not os.path.exists(path):  # also False for a path that is too long
        raise UserError(
            f"data.path: {path} does not exist; give an .npz file, a Parquet file, or a folder with metadata.csv or "
            "Parquet files"
        )
    try:
        return path.is_dir() or path.suffix == PARQUET or kind_of(path) == "a Parquet file"
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


def _path(config: DataConfig, data_root: Path) -> Path:
    path = path_of(config, data_root)
    if config.background is not None and not _is_listed(path):
        raise UserError(f"data.background: {path} has arrays, which have no transparent pixels; remove it")
    return path


SOURCE = Source(
    name="arrays",
    facts=lambda config, data_root: describe_arrays(_path(config, data_root), rendering_of(config), config.split_seed),
    read=lambda config, data_root: read_arrays(_path(config, data_root), rendering_of(config), config.split_seed),
)
