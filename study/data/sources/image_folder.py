"""Images in class folders, on disk or in a tar archive: `train/CLASS/*` and `test/CLASS/*`.

Works on any folder or tar archive (plain or gzipped) of that layout, possibly below one top folder. An archive is read
as a stream and never unpacked to disk. The content comes from outside, so nothing in it is trusted: neither the
archive's member names, nor the extensions, nor the sizes. Hidden files are ignored, and so are files whose extension is
not in `EXTENSIONS`. Knows nothing of splits or preprocessing.
"""

import contextlib
import functools
import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from study.config import DataConfig
from study.data.dataset import DatasetFacts, RawDataset, Split
from study.data.files.archive import archive_members, shown
from study.data.source import Source
from study.errors import UserError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".pbm", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""The decoders that may run. Pillow has many more, which training images do not need."""

MAX_FILE_BYTES = 50 * 2**20
MAX_TOTAL_BYTES = min(16 * 2**30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
"""The most bytes of the decoded images, and of the files of an archive that wait in memory: half of the machine's."""

GRAY_MODES = frozenset({"1", "L", "LA", "La"})
DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})

_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError),
    *(struct.error, zlib.error),
)
"""What Pillow's decoders raise for a damaged file."""

Part = Literal["train", "test"]
PARTS: tuple[Part, Part] = ("train", "test")


@dataclass
class _Listing:
    """Where the images are: for each part, class and file name a function that returns the file's bytes."""

    source: Path
    classes: dict[Part, dict[str, dict[str, Callable[[], bytes]]]] = field(
        default_factory=lambda: {"train": {}, "test": {}}
    )
    top: str | None = None

    def place(self, parts: tuple[str, ...], is_folder: bool) -> tuple[Part, str, str] | None:
        """(part, class, file name) of an image, else None. A class folder is added to `classes`.

        Raises:
            UserError: an image or folder in the wrong place, or a second top folder with a training or test set.
        """
        if any(part.startswith(".") or part == "__MACOSX" for part in parts):
            return None
        depth = 0 if parts[:1] and parts[0] in PARTS else 1
        if len(parts) <= depth or parts[depth] not in PARTS:
            return None
        part: Part = "train" if parts[depth] == "train" else "test"
        top, inner = "/".join(parts[:depth]), parts[depth + 1 :]
        if self.top not in (None, top):
            raise UserError(
                f"{self.source}: train/ or test/ is in {shown(self.top or '.')} and also in {shown(top or '.')}; only "
                "one top folder may have them"
            )
        self.top = top
        is_image = not is_folder and PurePosixPath(parts[-1]).suffix.lower() in EXTENSIONS
        if (is_image and len(inner) != 2) or (is_folder and len(inner) > 1):
            raise UserError(
                f"{self.source}: {shown('/'.join(parts))} is misplaced; images belong directly in {part}/CLASS/"
            )
        if len(inner) == 2 or (is_folder and len(inner) == 1):
            self.classes[part].setdefault(inner[0], {})
        return (part, inner[0], inner[1]) if is_image else None

    def add(self, place: tuple[Part, str, str], get: Callable[[], bytes]) -> None:
        part, class_name, file_name = place
        self.classes[part][class_name][file_name] = get

    def class_names(self) -> tuple[str, ...]:
        """The training classes, sorted.

        Raises:
            UserError: fewer than two, an empty one, or a class that only the test set has.
        """
        for part in PARTS:
            if not self.classes[part]:
                raise UserError(
                    f"{self.source}: no {part}/CLASS/ folder in it; expected train/CLASS/* and test/CLASS/*"
                )
            for name, files in sorted(self.classes[part].items()):
                if not files:
                    raise UserError(
                        f"{self.source}: no image in {shown(f'{part}/{name}')}; remove the folder or add images"
                    )
        names = tuple(sorted(self.classes["train"]))
        if len(names) == 1:
            raise UserError(f"{self.source}: only one class, {shown(names[0])}; a study needs at least two")
        unknown = sorted(set(self.classes["test"]) - set(names))
        if unknown:
            raise UserError(
                f"{self.source}: class {shown(unknown[0])} is in test/ only, so no network can learn it; add it to "
                "train/ or remove it"
            )
        return names


def read_image_folder(path: Path) -> RawDataset:
    """Decode every image of a folder or tar archive, in the order of class and file name.

    One channel if every image is gray, else three; 8 bits each.

    Raises:
        UserError: one line that names the file: not there, not an image, truncated, of another size, in the wrong
            place; an unsafe or oversized archive member; a class without images; fewer than two classes.
    """
    _check_exists(path)
    listing = _list_folder(path) if path.is_dir() else _list_archive(path)
    names = listing.class_names()
    labels = {name: label for label, name in enumerate(names)}
    files, targets, counts = [], [], []
    for part in PARTS:
        for class_name, class_files in sorted(listing.classes[part].items()):
            for file_name, get in sorted(class_files.items()):
                files.append((f"{path}: {shown(f'{part}/{class_name}/{file_name}')}", get))
                targets.append(labels[class_name])
        counts.append(len(files))
    images = _decode_all(files)
    all_labels = np.array(targets, dtype=np.int64)
    first_test = counts[0]
    return RawDataset(
        classes=names,
        training=Split(images[:first_test], all_labels[:first_test]),
        test=Split(images[first_test:], all_labels[first_test:]),
        max_value=255.0,
    )


def describe_image_folder(path: Path) -> DatasetFacts:
    """Shape and class count of a folder, without decoding; of an archive only the shape, from its first image.

    If the first image is gray, the shape is None: the number of channels is known only after all images are read.

    Raises:
        UserError: the path does not exist, or its first image is not an image.
    """
    _check_exists(path)
    if path.is_dir():
        listing = _list_folder(path)
        names = listing.class_names()
        class_name = names[0]
        file_name, get = min(listing.classes["train"][class_name].items())
        return DatasetFacts(_glance(f"{path}: {shown(f'train/{class_name}/{file_name}')}", get()), len(names))
    listing = _Listing(path)
    for parts, is_folder, read in archive_members(path, MAX_FILE_BYTES, MAX_TOTAL_BYTES):
        if listing.place(parts, is_folder) is not None:
            return DatasetFacts(_glance(f"{path}: {shown('/'.join(parts))}", read()), None)
    raise UserError(f"{path}: no image in it; expected train/CLASS/* and test/CLASS/*")


# --------------------------------------------------------------------------------------------------------- listing


def _check_exists(path: Path) -> None:
    if not os.path.exists(path):  # also False for a path that is too long
        raise UserError(
            f"data.path: {path} does not exist; give a folder or tar file of train/CLASS/* and test/CLASS/*"
        )


def _list_folder(root: Path) -> _Listing:
    listing = _Listing(root)
    try:
        tops = [root] if any((root / part).is_dir() for part in PARTS) else sorted(root.iterdir())
        for folder in [top / part for top in tops for part in PARTS]:
            for entry in _entries(folder):
                listing.place(entry.relative_to(root).parts, entry.is_dir())
                for file in _entries(entry):
                    place = listing.place(file.relative_to(root).parts, file.is_dir())
                    if place is not None:
                        listing.add(place, functools.partial(_read_bounded, file))
    except OSError as error:
        raise UserError(f"{root}: cannot be read: {error.strerror or error}") from None
    return listing


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _read_bounded(file: Path) -> bytes:
    if not file.is_file():  # a broken link, or a pipe that never ends
        raise UserError(f"{file}: not a file that can be read; remove it")
    with file.open("rb") as opened:
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise UserError(f"{file}: larger than {MAX_FILE_BYTES // 2**20} MB; is it an image?")
    return content


def _list_archive(path: Path) -> _Listing:
    listing = _Listing(path)
    total = 0
    for parts, is_folder, read in archive_members(path, MAX_FILE_BYTES, MAX_TOTAL_BYTES):
        place = listing.place(parts, is_folder)
        if place is None:
            continue
        content = read()
        total += len(content)
        if total > MAX_TOTAL_BYTES:
            raise UserError(f"{path}: its images take more than {MAX_TOTAL_BYTES // 2**30} GiB")
        listing.add(place, functools.partial(bytes, content))
    return listing


# -------------------------------------------------------------------------------------------------------- decoding


def _decode_all(files: list[tuple[str, Callable[[], bytes]]]) -> npt.NDArray[np.uint8]:
    """(N, 1 or 3, H, W): decoded into one array, which has the size of the first image."""
    images: npt.NDArray[np.uint8] | None = None
    first = ""
    with _pillow_warnings():
        for index, (where, get) in enumerate(files):
            with _open_image(where, _bytes(where, get)) as image:
                gray = image.mode in GRAY_MODES
                width, height = image.size
                if images is None:
                    images, first = _allocate(where, len(files), 1 if gray else 3, height, width), where
                elif (height, width) != images.shape[2:]:
                    raise UserError(
                        f"{where}: {width}×{height} pixels, but {first.rpartition(': ')[2]} has "
                        f"{images.shape[3]}×{images.shape[2]}; all images need one size"
                    )
                elif images.shape[1] == 1 and not gray:  # the first colour image: the gray ones before it become RGB
                    colour = _allocate(where, len(files), 3, height, width)
                    colour[:index] = images[:index]
                    images = colour
                images[index] = _pixels(where, image, images.shape[1])
    assert images is not None  # every class has an image
    return images


def _allocate(where: str, count: int, channels: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    if count * channels * height * width > MAX_TOTAL_BYTES:
        raise UserError(
            f"{where}: {width}×{height} pixels times {count} images take more than {MAX_TOTAL_BYTES // 2**30} GiB; "
            "make them smaller"
        )
    return np.empty((count, channels, height, width), dtype=np.uint8)


def _bytes(where: str, get: Callable[[], bytes]) -> bytes:
    try:
        return get()
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror or error}") from None


@contextlib.contextmanager
def _pillow_warnings() -> Iterator[None]:
    """Ignore warnings about metadata; an image that is far too large is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _open_image(where: str, content: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise UserError(f"{where}: not an image, although its name says so; remove it or replace it") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{where}: an image of far too many pixels; make it smaller") from None
    except _DAMAGE as error:
        raise UserError(f"{where}: a damaged image: {' '.join(str(error).split())}") from None
    if image.mode in DEEP_MODES:
        raise UserError(f"{where}: more than 8 bits a channel (mode {image.mode}); convert it to 8 bits")
    return image


def _pixels(where: str, image: Image.Image, channels: int) -> npt.NDArray[np.uint8]:
    """(channels, H, W) of an opened image."""
    mode = "L" if channels == 1 else "RGB"
    try:
        array = np.asarray(image if image.mode == mode else image.convert(mode))
    except _DAMAGE as error:
        raise UserError(f"{where}: a truncated or damaged image: {' '.join(str(error).split())}") from None
    return array[np.newaxis] if channels == 1 else array.transpose(2, 0, 1)


def _glance(where: str, content: bytes) -> tuple[int, int, int] | None:
    with _pillow_warnings(), _open_image(where, content) as image:
        if image.mode in GRAY_MODES:
            return None
        return 3, image.height, image.width


# --------------------------------------------------------------------------------------------------------- the source


def _path(config: DataConfig, data_root: Path) -> Path:
    """A relative path is looked for in the working directory, then in the data folder."""
    assert config.path is not None  # DataConfig checks that an image folder has a path
    # os.path, because `Path.exists` raises for a path that is too long, and `Path.expanduser` for an unknown user.
    path = Path(os.path.expanduser(config.path))
    return path if path.is_absolute() or os.path.exists(path) else data_root / path


SOURCE = Source(
    name="image_folder",
    facts=lambda config, data_root: describe_image_folder(_path(config, data_root)),
    read=lambda config, data_root: read_image_folder(_path(config, data_root)),
)
