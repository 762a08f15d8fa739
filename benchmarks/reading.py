"""What reading a data set costs: memory beside what it keeps, and the CPU time of many small pictures.

Memory: a process loads a data set, and the system says what it took at most (`VmHWM`), without what it had before. It
is divided by what the data set keeps: a byte for each pixel, or a float where it is normalised. Files are in the true
formats; their content is drawn.

CPU time: 100,000 small PNG files in class folders, read as a study reads them (every check, the split, digests), and
by a plain loop with Pillow, in turn, each in a process of its own. Process time is counted, because other programs may
run. The plain loop opens each file, converts it to RGB, and stacks the arrays.

    python -m benchmarks.reading [--pictures 100000] [--rounds 3]
"""

import argparse
import gc
import json
import pickle
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.io import savemat

from benchmarks.page import PERFORMANCE, publish, spread, table
from study.config import DataConfig
from study.data.dataset import Dataset
from study.data.load import load_for_both

Bytes = npt.NDArray[np.uint8]

CLASSES = 10
SIDE = 32
MIB = 2**20
IMAGES = 40_000
"""Of each data set but the pictures."""

MEAN, LCN = "subtract_pixel_mean", "local_contrast_normalization"


@dataclass(frozen=True)
class Case:
    """A data set whose reading is measured: its section of a study file, but for the preprocessing."""

    title: str
    data: dict[str, Any]
    preprocess: tuple[str, ...]
    write: Callable[[Path], None]


@dataclass(frozen=True)
class Taken:
    """What one reading took: CPU seconds, bytes at most beside what the process had, and the bytes of the result."""

    cpu: float
    peak: int
    kept: int


def drawn(count: int, seed: int) -> Bytes:
    """Smooth pictures (count, SIDE, SIDE, 3) with some noise, so that they compress about as photos do."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    smooth = coarse.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2)
    return smooth ^ rng.integers(0, 16, smooth.shape, dtype=np.uint8)


def write_pictures(folder: Path, count: int) -> None:
    """PNG files: a tenth is the test set."""
    for part, images in (("train", count - count // 10), ("test", count // 10)):
        for label in range(CLASSES):
            (folder / part / f"class{label}").mkdir(parents=True)
        for start in range(0, images, 1000):
            for at, pixels in enumerate(drawn(min(1000, images - start), seed=start + (part == "test")), start):
                Image.fromarray(pixels).save(folder / part / f"class{at % CLASSES}" / f"{at:06d}.png")


def write_npz(folder: Path) -> None:
    """As MedMNIST writes them: channels last."""
    train, test = drawn(IMAGES - IMAGES // 10, 0), drawn(IMAGES // 10, 1)
    np.savez(
        folder / "images.npz",
        train_images=train,
        train_labels=np.arange(len(train)) % CLASSES,
        test_images=test,
        test_labels=np.arange(len(test)) % CLASSES,
    )


def _cifar(classes: int) -> Iterator[tuple[Bytes, Bytes]]:
    """Pixels (N, 3072) and labels of the six batches."""
    for seed in range(6):
        yield (
            drawn(IMAGES // 6, seed).transpose(0, 3, 1, 2).reshape(-1, 3072),
            (np.arange(IMAGES // 6) % classes).astype(np.uint8),
        )


def write_cifar10(folder: Path) -> None:
    """The binary version as its archive."""
    inside = folder / "cifar-10-batches-bin"
    inside.mkdir()
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    for name, (pixels, labels) in zip(names, _cifar(10), strict=True):
        (inside / name).write_bytes(np.column_stack([labels, pixels]).tobytes())
    (inside / "batches.meta.txt").write_text("\n".join(f"class{label}" for label in range(10)))
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(inside, inside.name)
    for file in inside.iterdir():
        file.unlink()
    inside.rmdir()


def write_cifar100(folder: Path) -> None:
    """The binary version as its folder: all training images are in one file."""
    inside = folder / "cifar-100-binary"
    inside.mkdir()
    (inside / "fine_label_names.txt").write_text("\n".join(f"class{label}" for label in range(100)))
    *train, test = (np.column_stack([labels, labels, pixels]) for pixels, labels in _cifar(100))
    (inside / "train.bin").write_bytes(np.concatenate(train).tobytes())
    (inside / "test.bin").write_bytes(test.tobytes())


def write_cifar100_python(folder: Path) -> None:
    """The Python version as its folder, in the pickle format of Python 2, as the official files."""
    inside = folder / "cifar-100-python"
    inside.mkdir()
    *train, test = _cifar(100)
    joined = (np.concatenate([pixels for pixels, _ in train]), np.concatenate([labels for _, labels in train]))
    for name, (pixels, labels) in (("train", joined), ("test", test)):
        (inside / name).write_bytes(_pickled(pixels, labels))
    (inside / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"class{label}" for label in range(100)]}, 2))


def _pickled(pixels: Bytes, labels: Bytes) -> bytes:
    """A dictionary of an array and a list, as Python 2 and its NumPy write it. Python 3 writes bytes as text."""
    rows, columns = (struct.pack("<cI", b"J", size) for size in pixels.shape)
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01" + rows + columns + b"\x86"
    )
    content = struct.pack("<cI", b"T", pixels.nbytes) + pixels.tobytes()
    numbers = b"".join(b"K" + bytes([label]) for label in labels.tolist())
    return b"\x80\x02}(U\x04data" + array + dtype + b"\x89" + content + b"tbU\x0bfine_labels](" + numbers + b"eu."


def write_svhn(folder: Path) -> None:
    """The three MATLAB files; most images are in the extra set."""
    for seed, (name, count) in enumerate({"train": IMAGES // 4, "extra": IMAGES // 2, "test": IMAGES // 4}.items()):
        labels = (np.arange(count) % CLASSES + 1).astype(np.uint8)
        images = {"X": drawn(count, seed).transpose(1, 2, 3, 0), "y": labels[:, np.newaxis]}
        savemat(folder / f"{name}_32x32.mat", images, do_compression=True)


def cases(pictures: int) -> list[Case]:
    """Every data set with files of another kind, each with the preprocessing of the recipes and without."""
    folder = {"name": "image_folder", "path": ".", "augment": []}

    def write(into: Path) -> None:
        write_pictures(into, pictures)

    return [
        *(Case("PNG files", folder, each, write) for each in ((), (MEAN,), (LCN,), (LCN, MEAN))),
        Case("PNG files, fraction 0.5", {**folder, "fraction": 0.5}, (MEAN,), write),
        Case("`.npz`", {"name": "arrays", "path": "images.npz"}, (MEAN,), write_npz),
        Case("CIFAR-10, `tar.gz`", {"name": "cifar10"}, (MEAN,), write_cifar10),
        Case("CIFAR-100, folder", {"name": "cifar100"}, (MEAN,), write_cifar100),
        Case("CIFAR-100, Python version", {"name": "cifar100"}, (MEAN,), write_cifar100_python),
        *(Case("SVHN", {"name": "svhn"}, each, write_svhn) for each in ((MEAN,), (LCN,))),
    ]


def _kept(datasets: tuple[Dataset, Dataset]) -> int:
    arrays = [part.images for each in datasets for part in (each.train, each.validation, each.test)]
    return sum({array.ctypes.data: array.nbytes for array in arrays}.values())


def read_by_study(data: dict[str, Any], folder: Path) -> int:
    """Load a data set as a study does. Returns the bytes of its images."""
    return _kept(load_for_both(DataConfig.model_validate(data), folder))


def read_by_loop(folder: Path) -> int:
    """Read the pictures with Pillow alone. Returns the bytes of the arrays."""
    kept = 0
    for part in ("train", "test"):
        images, labels = [], []
        for label, inside in enumerate(sorted((folder / part).iterdir())):
            for file in sorted(inside.iterdir()):
                with Image.open(file) as image:
                    images.append(np.asarray(image.convert("RGB")))
                labels.append(label)
        kept += np.stack(images).nbytes + np.array(labels).nbytes
    return kept


def measured(read: Callable[[], int]) -> Taken:
    """What a reading takes in this process."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, began = _status("VmRSS"), time.process_time()
    kept = read()
    return Taken(time.process_time() - began, _status("VmHWM") - before, kept)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def in_a_process(folder: Path, data: dict[str, Any] | None) -> Taken:
    """A reading in a process of its own: of a data section, or (None) by the plain loop."""
    command = [sys.executable, "-m", "benchmarks.reading", "--one", json.dumps(data), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return Taken(**json.loads(ran.stdout))


def as_markdown(memory: dict[str, Taken], ways: dict[str, list[Taken]], pictures: int) -> str:
    """One row for each data set, then one for each way to read pictures."""
    rows = [
        [title, f"{taken.kept / MIB:,.0f}", f"{taken.peak / MIB:,.0f}", f"{taken.peak / taken.kept:.2f}"]
        for title, taken in memory.items()
    ]
    head = ("data set, preprocessing", "kept, MiB", "most while it is read, MiB", "ratio")
    cpu = [
        [title, spread([each.cpu for each in taken], ".1f"), spread([each.peak / MIB for each in taken], ",.0f")]
        for title, taken in ways.items()
    ]
    ratios = [ours.cpu / plain.cpu for plain, ours in zip(*ways.values(), strict=True)]
    return (
        f"{table(head, rows)}\n\n"
        f"{table((f'{pictures:,} PNG files of {SIDE}×{SIDE}', 'CPU, s', 'most memory, MiB'), cpu)}\n\n"
        f"A study takes {spread(ratios)} times the CPU time of the plain loop."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        data, folder = json.loads(given.one[0]), Path(given.one[1])
        taken = measured(lambda: read_by_loop(folder) if data is None else read_by_study(data, folder))
        print(json.dumps(asdict(taken)))
        return
    memory: dict[str, Taken] = {}
    ways: dict[str, list[Taken]] = {"a plain loop with Pillow": [], "a study": []}
    written: dict[str, Path] = {}
    with tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(cases(given.pictures)):
            source = case.write.__name__
            if source not in written:
                written[source] = Path(name) / str(number)
                written[source].mkdir()
                case.write(written[source])
            data = {**case.data, "preprocess": case.preprocess}
            if "path" in data:
                data["path"] = str(written[source] / data["path"])
            steps = " + ".join(case.preprocess) or "none"
            memory[f"{case.title}, {steps}"] = in_a_process(written[source], data)
        folder = written["write"]
        data = {"name": "image_folder", "path": str(folder), "preprocess": [], "augment": []}
        for _ in range(given.rounds):
            for way, asked in zip(ways.values(), (None, data), strict=True):
                way.append(in_a_process(folder, asked))
    numbers = {
        "pictures": given.pictures,
        "memory": {title: asdict(taken) for title, taken in memory.items()},
        "ways": {title: [asdict(each) for each in taken] for title, taken in ways.items()},
    }
    publish(PERFORMANCE, "reading", as_markdown(memory, ways, given.pictures), numbers)


if __name__ == "__main__":
    main()
