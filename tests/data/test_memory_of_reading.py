"""Reading needs little more memory than what it keeps: a byte for each pixel, or a float where it is normalised."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.dataset_files import pictures, write_folder, write_svhn

from benchmarks.reading import in_a_process
from study.adapters import pages
from study.config import DataConfig
from study.data.source import memory_for_each_byte

LCN, MEAN = "local_contrast_normalization", "subtract_pixel_mean"


def _write_svhn(folder: Path) -> dict[str, Any]:
    write_svhn(folder, train=6_000, extra=10_000, test=2_000)
    return {"name": "svhn", "validation": 600}


def _write_cifar100(folder: Path) -> dict[str, Any]:
    """All training images are in one file."""
    files = {"cifar-100-binary/fine_label_names.txt": "\n".join(f"class{label}" for label in range(100)).encode()}
    for name, count in {"train": 15_000, "test": 3_000}.items():
        labels = (np.arange(count) % 100).astype(np.uint8)
        files[f"cifar-100-binary/{name}.bin"] = np.column_stack([labels, labels, pictures((count, 3072))]).tobytes()
    write_folder(folder, files)
    return {"name": "cifar100", "validation": 600}


@pytest.mark.skipif(sys.platform != "linux", reason="the system says there what a process took")
@pytest.mark.parametrize(
    ("write", "preprocess"), [(_write_svhn, (MEAN,)), (_write_svhn, (LCN, MEAN)), (_write_cifar100, (MEAN,))]
)
def test_a_data_set_is_in_memory_once(tmp_path: Path, write: Any, preprocess: tuple[str, ...]) -> None:
    taken = in_a_process(tmp_path, {**write(tmp_path), "preprocess": preprocess})
    assert taken.kept == 18_000 * 3072 * (4 if LCN in preprocess else 1)
    assert taken.peak <= 1.3 * taken.kept


@pytest.mark.parametrize(
    ("preprocess", "fraction", "bytes_of_each"), [((), 1, 1), ((MEAN,), 0.5, 1.5), ((LCN,), 1, 4), ((LCN,), 0.25, 5)]
)
def test_the_guard_counts_what_is_needed(preprocess: tuple[str, ...], fraction: float, bytes_of_each: float) -> None:
    config = DataConfig.model_validate({"name": "svhn", "preprocess": preprocess, "fraction": fraction})
    unfreed = 0 if pages.IS_AVAILABLE or LCN not in preprocess else 1
    assert memory_for_each_byte(config) == bytes_of_each + unfreed
