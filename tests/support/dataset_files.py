"""Small files in the true formats of the datasets, written by the tests themselves."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.io import savemat

Bytes = npt.NDArray[np.uint8]

MNIST_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def pictures(shape: tuple[int, ...], seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def idx_bytes(array: Bytes) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()


def write_mnist(
    data_root: Path, train: int = 40, test: int = 20, zipped: bool = False, name: str = "MNIST"
) -> dict[str, Bytes]:
    """The four files, labels 0 1 2 ... 9 0 1 ..., returned by name as they were written."""
    folder = data_root / name / "raw"
    folder.mkdir(parents=True)
    arrays = {
        MNIST_NAMES[0]: pictures((train, 28, 28), seed=1),
        MNIST_NAMES[1]: np.arange(train, dtype=np.uint8) % 10,
        MNIST_NAMES[2]: pictures((test, 28, 28), seed=2),
        MNIST_NAMES[3]: np.arange(test, dtype=np.uint8) % 10,
    }
    for name, array in arrays.items():
        content = idx_bytes(array)
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return arrays


def write_svhn(data_root: Path, train: int = 40, extra: int = 30, test: int = 20) -> dict[str, Bytes]:
    """The three files, labels 1 2 ... 10 1 2 ...; returns the images (N, 3, 32, 32) by file."""
    data_root.mkdir(exist_ok=True)
    written = {}
    for seed, (name, count) in enumerate({"train": train, "extra": extra, "test": test}.items()):
        images = pictures((count, 3, 32, 32), seed)
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)
        savemat(
            data_root / f"{name}_32x32.mat",
            {"X": images.transpose(2, 3, 1, 0), "y": labels[:, np.newaxis]},
            do_compression=True,
        )
        written[name] = images
    return written


def image_bytes(pixels: Bytes, kind: str = "PNG") -> bytes:
    """An encoded image from (H, W) gray or (H, W, 3) RGB pixels."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def image_set(
    train: Mapping[str, int], test: Mapping[str, int], size: tuple[int, ...] = (6, 5, 3), extension: str = "png"
) -> dict[str, bytes]:
    """Path → content for so many images of each class, all different."""
    files, seed = {}, 0
    for part, counts in (("train", train), ("test", test)):
        for name, count in counts.items():
            for index in range(count):
                seed += 1
                kind = "JPEG" if extension == "jpg" else extension.upper()
                files[f"{part}/{name}/{index:03d}.{extension}"] = image_bytes(pictures(size, seed), kind)
    return files


def write_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_tar(path: Path, files: Mapping[str, bytes], members: Sequence[tarfile.TarInfo] = ()) -> Path:
    """Plain, or compressed as the end of the name says; `members` are added as they are, without content."""
    compression = next((kind for kind in ("gz", "bz2", "xz") if path.name.endswith(kind)), "")
    with tarfile.open(path, f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in members:
            archive.addfile(member)
    return path


def write_zip(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
