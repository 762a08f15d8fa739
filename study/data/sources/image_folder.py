"""Images in class folders, on disk or in a tar archive: `train/CLASS/*` and `test/CLASS/*`.

Works on any folder or tar archive (plain or gzipped) of that layout, possibly below one top folder. An archive is read
as a stream and never unpacked to disk. The content comes from outside, so nothing in it is trusted: neither the
archive's member names, nor the extensions, nor the sizes. Files that are not read are counted by their kind. Knows
nothing of splits or preprocessing.
"""

import functools
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from study.config import DataConfig
from study.data.dataset import DatasetFacts, RawDataset, Split
from study.data.files.archive import archive_members, shown
from study.data.files.decoding import Rendering, decode_all, shape_of_all
from study.data.files.pictures import can_be_picture
from study.data.repeats import check_repeats
from study.data.source import Source
from study.errors import UserError

MAX_FILE_BYTES = 50 * 2**20
MAX_TOTAL_BYTES = min(16 * 2**30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
"""The most bytes of the decoded images, and of the files of an archive that wait in memory: half of the machine's."""

Part = Literal["train", "test"]
PARTS: tuple[Part, Part] = ("train", "test")
VALIDATION = ("val", "valid", "validation", "dev")
"""Folders beside train/ and test/ that are not read: validation images are taken from train/."""
_OF_THE_SYSTEM = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


@dataclass
class _Listing:
    """Where the images are: for each part, class and file name a function that returns the file's bytes."""

    source: Path
    classes: dict[Part, dict[str, dict[str, Callable[[], bytes]]]] = field(
        default_factory=lambda: {"train": {}, "test": {}}
    )
    top: str | None = None
    skipped: Counter[str] = field(default_factory=Counter)
    """How many files are not read, by their kind."""

    def skip(self, kind: str, count: int = 1) -> None:
        if count:
            self.skipped[kind] += count

    def place(self, parts: tuple[str, ...], is_folder: bool) -> tuple[Part, str, str] | None:
        """(part, class, file name) of an image, else None. A class folder is added to `classes`.

        Raises:
            UserError: an image or folder in the wrong place, or a second top folder with a training or test set.
        """
        if (kind := _kind_of_skipped(parts, is_folder)) is not None:
            if kind and not is_folder:
                self.skip(kind)
            return None
        depth = 0 if parts[0] in PARTS else 1
        part: Part = "train" if parts[depth] == "train" else "test"
        top, inner = "/".join(parts[:depth]), parts[depth + 1 :]
        if self.top not in (None, top):
            raise UserError(
                f"{self.source}: train/ or test/ is in {shown(self.top or '.')} and also in {shown(top or '.')}; only "
                "one top folder may have them"
            )
        self.top = top
        is_image = not is_folder and can_be_picture(parts[-1])
        if not is_image and not is_folder:
            self.skip(f"{PurePosixPath(parts[-1]).suffix.lower() or 'other'} files")
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


def _kind_of_skipped(parts: tuple[str, ...], is_folder: bool) -> str | None:
    """The kind of a path that is not read: empty for files that are no data; None for a path in train/ or test/."""
    if "__MACOSX" in parts or (parts and (parts[-1] in _OF_THE_SYSTEM or parts[-1].startswith("._"))):
        return ""
    if any(part.startswith(".") for part in parts):
        is_hidden_file = not is_folder and not any(part.startswith(".") for part in parts[:-1])
        return "hidden files" if is_hidden_file else "files in hidden folders"
    if any(part in PARTS for part in parts[:1]) or any(part in PARTS for part in parts[1:2]):
        return None
    return next((f"files in {shown(part)}/" for part in parts[:2] if part in VALIDATION), "")


def readable(name: str) -> str:
    """A class name from outside as text: bytes that are not UTF-8 become `\\xNN`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_image_folder(path: Path, rendering: Rendering | None = None) -> RawDataset:
    """Decode every image of a folder or tar archive, in the order of class and file name.

    One channel if every image is gray, else three; 8 bits each. Images are turned upright by their EXIF orientation.

    Args:
        path: the folder or archive.
        rendering: how pictures become pixels.

    Raises:
        UserError: one line that names the file: not there, not an image, truncated, of another size, in the wrong
            place; an unsafe or oversized archive member; a class without images; fewer than two classes; training
            images of which more than half are equal.
    """
    rendering = rendering or Rendering(most_bytes=MAX_TOTAL_BYTES)
    listing = _listed(path)
    classes = listing.class_names()
    names, files, targets, counts = [], [], [], []
    for part in PARTS:
        for class_name, class_files in sorted(listing.classes[part].items()):
            for file_name, get in sorted(class_files.items()):
                names.append(shown(f"{part}/{class_name}/{file_name}"))
                files.append(get)
                targets.append(classes.index(class_name))
        counts.append(len(files))
    decoded = decode_all(str(path), names, _contents(path, names, files), rendering)
    images = decoded.images
    labels = np.array(targets, dtype=np.int64)
    first_test = counts[0]
    return RawDataset(
        classes=tuple(map(readable, classes)),
        notes=(
            *_skipped(path, listing),
            *decoded.notes(str(path), rendering),
            *check_repeats(str(path), images, names, first_test),
        ),
        training=Split(images[:first_test], labels[:first_test]),
        test=Split(images[first_test:], labels[first_test:]),
        max_value=255.0,
    )


def _skipped(path: Path, listing: _Listing) -> list[str]:
    if not listing.skipped:
        return []
    return [f"{path}: not read: {', '.join(f'{count} {kind}' for kind, count in sorted(listing.skipped.items()))}"]


def _contents(path: Path, names: list[str], files: list[Callable[[], bytes]]) -> Iterator[tuple[int, bytes]]:
    for at, get in enumerate(files):
        try:
            content = get()
        except OSError as error:
            raise UserError(f"{path}: {names[at]}: cannot be read: {error.strerror or error}") from None
        yield at, content


def describe_image_folder(path: Path, rendering: Rendering | None = None) -> DatasetFacts:
    """The shape and the class count. Every image is opened, but few formats need to be decoded for that.

    Raises:
        UserError: as `read_image_folder`, but for damage that is seen only when an image is decoded.
    """
    listing = _listed(path)
    classes = listing.class_names()
    places = [
        (shown(f"{part}/{class_name}/{file_name}"), get)
        for part in PARTS
        for class_name, class_files in sorted(listing.classes[part].items())
        for file_name, get in sorted(class_files.items())
    ]
    names = [name for name, _ in places]
    contents = _contents(path, names, [get for _, get in places])
    return DatasetFacts(shape_of_all(str(path), names, contents, rendering or Rendering()), len(classes))


def _listed(path: Path) -> _Listing:
    _check_exists(path)
    return _list_folder(path) if path.is_dir() else _list_archive(path)


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
                    elif file.name.startswith(".") and file.is_dir():
                        listing.skip("files in hidden folders", _files_below(file))
        for folder in [top / name for top in tops for name in VALIDATION]:
            listing.skip(f"files in {folder.name}/", _files_below(folder))
    except OSError as error:
        raise UserError(f"{root}: cannot be read: {error.strerror or error}") from None
    return listing


def _files_below(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _read_bounded(file: Path) -> bytes:
    try:
        status = os.stat(file)
    except FileNotFoundError:
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):  # a broken link, or a pipe that never ends
        raise UserError(f"{file}: not a file that can be read; remove it")
    with open(file, "rb") as opened:
        content = opened.read(min(status.st_size, MAX_FILE_BYTES) + 1)
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


# --------------------------------------------------------------------------------------------------------- the source


def _path(config: DataConfig, data_root: Path) -> Path:
    """A relative path is looked for in the working directory, then in the data folder."""
    assert config.path is not None  # DataConfig checks that an image folder has a path
    # os.path, because `Path.exists` raises for a path that is too long, and `Path.expanduser` for an unknown user.
    path = Path(os.path.expanduser(config.path))
    return path if path.is_absolute() or os.path.exists(path) else data_root / path


def _rendering(config: DataConfig) -> Rendering:
    red, green, blue = bytes.fromhex((config.background or "#ffffff").removeprefix("#"))
    return Rendering((red, green, blue), config.size, MAX_TOTAL_BYTES)


SOURCE = Source(
    name="image_folder",
    facts=lambda config, data_root: describe_image_folder(_path(config, data_root), _rendering(config)),
    read=lambda config, data_root: read_image_folder(_path(config, data_root), _rendering(config)),
)
