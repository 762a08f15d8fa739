"""Which files of a tree are images, of which class, and for what: training, validation or test.

Works on names alone, so a folder and its archives have one layout. Understood are `train/CLASS/*` with `test/CLASS/*`,
`val/CLASS/*` or both, and `CLASS/*`; all of them possibly below one top folder. Files that are not used are counted by
their kind. Knows nothing of pixels.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Literal

import numpy as np

from study.data.dataset import Labels
from study.data.files.archive import shown
from study.data.files.pictures import can_be_picture
from study.data.files.tree import Entry
from study.data.splits import stratified_split
from study.errors import UserError

Nested = Literal["first", "path"]
Part = Literal["train", "validation", "test"]

TRAIN, TEST = "train", "test"
VALIDATION = ("val", "valid", "validation", "dev")
TEST_SHARE = 0.2
"""The share of the images that is drawn as the test set if there is none."""
EXPECTED = "expected train/CLASS/* and test/CLASS/*, or CLASS/*"
_OF_THE_SYSTEM = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class Placed:
    """An image: its file, its class as its folder writes it, and what it is for."""

    entry: Entry
    class_name: str
    part: Part


@dataclass(frozen=True)
class Layout:
    """The images of a tree: training images first, then validation images, then test images.

    Attributes:
        classes: names, in the order of the labels.
        entries: the files of the images.
        labels: (N,) int64.
        training: how many images are training images, with those for validation.
        held_out: how many of these are for validation. They are the last ones of them.
        notes: what is not obvious about the split, one line each.
    """

    classes: tuple[str, ...]
    entries: tuple[Entry, ...]
    labels: Labels
    training: int
    held_out: int
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The names of the images in messages."""
        return [shown(entry.name) for entry in self.entries]


def layout_of(source: str, entries: Sequence[Entry], nested: Nested | None, split_seed: int) -> Layout:
    """Find the images of a tree.

    Args:
        source: the name of the tree in messages.
        entries: its files and folders, in any order.
        nested: which class an image in a folder of a class folder belongs to: that of the `first` folder, or one that
            is named by its whole `path`. None: such an image is refused.
        split_seed: fixes which images are drawn as the test set, if there is none.

    Raises:
        UserError: one line: no images, no classes, an image in the wrong place, or a class without training images.
    """
    # Sorted, so that a folder and its archives have the same first mistake.
    visible = sorted((entry for entry in entries if not _is_of_the_system(entry)), key=lambda entry: entry.parts)
    tops = _tops(visible)
    if len(tops) > 1:
        first, second, *_ = sorted(tops)
        raise UserError(
            f"{source}: train/ or test/ is in {shown(first)} and also in {shown(second)}; only one top folder may have "
            "them"
        )
    found = _Found(source, nested)
    if tops:
        _place_parts(found, visible, tops.pop())
    else:
        _place_classes(found, visible)
    return _arranged(found, split_seed)


class _Found:
    """Collects the images and classes of a tree, and counts what is not used."""

    def __init__(self, source: str, nested: Nested | None) -> None:
        self.source, self._nested = source, nested
        self.images: list[Placed] = []
        self.class_folders: set[tuple[Part, str, str]] = set()
        """Part, class and name of every class folder. Each needs an image."""
        self.skipped: Counter[str] = Counter()
        self.notes: list[str] = []
        self.is_flat = False

    def place(self, entry: Entry, part: Part, depth: int) -> None:
        """Sort in an entry whose class begins at a depth of its name.

        Raises:
            UserError: an image in the wrong place, or something that is neither a file nor a folder.
        """
        inner = entry.parts[depth:]
        hidden = next((at for at, name in enumerate(inner) if name.startswith(".")), None)
        folders = inner if entry.kind == "folder" else inner[:-1]
        folders = folders if hidden is None else folders[:hidden]
        if folders and self._nested != "path":
            self.class_folders.add((part, folders[0], "/".join(entry.parts[: depth + 1])))
        if entry.kind == "folder":
            return
        if hidden is not None:
            self.skipped["hidden files" if hidden == len(inner) - 1 else "files in hidden folders"] += 1
        elif entry.kind == "other" and len(inner) == 1 and self.is_flat:
            return
        elif entry.kind == "other":
            raise UserError(
                f"{self.source}: refused: {shown(entry.name)} is a link or a device, or a folder without permission to "
                "read it"
            )
        elif not can_be_picture(inner[-1]):
            self.skipped[f"{PurePosixPath(inner[-1]).suffix.lower() or 'other'} files"] += 1
        elif len(inner) == 1 and self.is_flat:
            self.skipped["images outside class folders"] += 1
        elif len(inner) == 1 or (len(inner) > 2 and self._nested is None):
            raise UserError(
                f"{self.source}: {shown(entry.name)} is misplaced; images belong directly in "
                f"{'/'.join((*entry.parts[:depth][-1:], 'CLASS'))}/ (data.nested permits folders in it)"
            )
        else:
            name = "/".join(inner[:-1]) if self._nested == "path" else inner[0]
            self.images.append(Placed(entry, name, part))


def _is_of_the_system(entry: Entry) -> bool:
    name = entry.parts[-1]
    return "__MACOSX" in entry.parts or name in _OF_THE_SYSTEM or name.startswith("._")


def _is_folder_at(entry: Entry, depth: int) -> bool:
    return len(entry.parts) > depth + 1 or (len(entry.parts) == depth + 1 and entry.kind == "folder")


def _tops(entries: Iterable[Entry]) -> set[str]:
    """The folders with train/ or test/: `.` if that is the tree itself, else folders in it."""
    at_top, below = False, set()
    for entry in entries:
        at_top |= entry.parts[0] in (TRAIN, TEST) and _is_folder_at(entry, 0)
        if len(entry.parts) > 1 and entry.parts[1] in (TRAIN, TEST) and _is_folder_at(entry, 1):
            below.add(entry.parts[0])
    return {"."} if at_top else {name for name in below if not name.startswith(".")}


def _place_parts(found: _Found, entries: Iterable[Entry], top: str) -> None:
    """Sort in the files of train/, test/ and a folder for validation."""
    depth = 0 if top == "." else 1
    inside = [entry for entry in entries if len(entry.parts) > depth and (not depth or entry.parts[0] == top)]
    folders = {entry.parts[depth] for entry in inside if _is_folder_at(entry, depth)}
    for_validation = [name for name in VALIDATION if name in folders]
    if len(for_validation) > 1:
        raise UserError(
            f"{found.source}: {for_validation[0]}/ and {for_validation[1]}/ are there; keep one of them for validation"
        )
    parts: dict[str, Part] = {TRAIN: "train", TEST: "test"}
    for name in for_validation:
        if TEST in folders:
            parts[name] = "validation"
            found.notes.append(
                f"{found.source}: the images of {name}/ are the validation images; data.validation has no effect"
            )
        else:
            parts[name] = "test"
            found.notes.append(f"{found.source}: there is no test/, so the images of {name}/ are the test set")
    for entry in inside:
        if entry.parts[depth] in parts and len(entry.parts) > depth + 1:
            found.place(entry, parts[entry.parts[depth]], depth + 1)
    for name, part in parts.items():
        if not any(image.part == part for image in found.images) and not any(
            each == part for each, _, _ in found.class_folders
        ):
            hint = "; to have a test set drawn, let data.path be the folder train/" if part == "test" else ""
            raise UserError(f"{found.source}: no {name}/CLASS/ folder in it; {EXPECTED}{hint}")


def _place_classes(found: _Found, entries: Sequence[Entry]) -> None:
    """Sort in the files of class folders that lie beside each other."""
    found.is_flat = True
    pictures = [
        entry
        for entry in entries
        if entry.kind == "file" and can_be_picture(entry.parts[-1]) and not any(map(_is_hidden, entry.parts))
    ]
    if not any(len(entry.parts) > 1 for entry in pictures):
        raise UserError(f"{found.source}: no train/CLASS/ folder in it, and no CLASS/ folder with images; {EXPECTED}")
    tops = {entry.parts[0] for entry in pictures if len(entry.parts) > 1}
    depth = int(len(tops) == 1 and any(len(entry.parts) > 2 for entry in pictures))
    for entry in entries:
        if len(entry.parts) > depth and (not depth or entry.parts[0] in tops):
            found.place(entry, "train", depth)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


# --------------------------------------------------------------------------------------------------- classes and order


def _arranged(found: _Found, split_seed: int) -> Layout:
    """Names the classes, and puts the images in order: by part, class and file name."""
    _check_no_class_is_empty(found)
    spellings: dict[str, str] = {}
    for name in sorted({image.class_name for image in found.images if image.part == "train"}):
        spellings.setdefault(_normalised(name), name)
    classes = tuple(sorted(spellings.values()))
    if len(classes) == 1:
        raise UserError(f"{found.source}: only one class, {shown(classes[0])}; a study needs at least two")
    label_of = {key: classes.index(name) for key, name in spellings.items()}
    for image in sorted(found.images, key=lambda each: each.entry.parts):
        if _normalised(image.class_name) not in label_of:
            folder = image.entry.name.removesuffix(f"/{image.class_name}/{image.entry.parts[-1]}").rpartition("/")[2]
            raise UserError(
                f"{found.source}: class {shown(image.class_name)} is in {folder}/ only, so no network can learn it; "
                "add it to train/ or remove it"
            )
    order: dict[Part, int] = {"train": 0, "validation": 1, "test": 2}
    images = sorted(
        found.images,
        key=lambda each: (order[each.part], label_of[_normalised(each.class_name)], each.entry.parts),
    )
    labels = np.array([label_of[_normalised(image.class_name)] for image in images], dtype=np.int64)
    counts = Counter(image.part for image in images)
    layout = Layout(
        classes=classes,
        entries=tuple(image.entry for image in images),
        labels=labels,
        training=counts["train"] + counts["validation"],
        held_out=counts["validation"],
        notes=tuple(found.notes),
    )
    if found.is_flat:
        layout = with_drawn_test(found.source, layout, split_seed)
    if found.skipped:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.skipped.items()))
        layout = replace(layout, notes=(f"{found.source}: not read: {kinds}", *layout.notes))
    return layout


def _check_no_class_is_empty(found: _Found) -> None:
    used = {(image.part, image.class_name) for image in found.images}
    for part, class_name, folder in sorted(found.class_folders):
        if (part, class_name) not in used:
            raise UserError(f"{found.source}: no image in {shown(folder)}; remove the folder or add images")


@lru_cache(maxsize=10_000)  # there are many images of each class
def _normalised(class_name: str) -> str:
    """A name in one spelling: macOS decomposes letters with accents, other systems do not."""
    return unicodedata.normalize("NFC", class_name)


def with_drawn_test(source: str, layout: Layout, split_seed: int) -> Layout:
    """A fifth of the images becomes the test set, drawn class by class."""
    total = len(layout.entries)
    if total - max(1, round(TEST_SHARE * total)) < len(layout.classes):
        raise UserError(
            f"{source}: {total} images of {len(layout.classes)} classes are too few to draw a test set from them"
        )
    # This generator is not the one of the validation images, so that the two draws are independent.
    rng = np.random.default_rng([split_seed, 1])
    drawn = stratified_split(layout.labels, layout.classes, validation=TEST_SHARE, fraction=1.0, rng=rng)
    order = np.concatenate([drawn.train, drawn.validation])
    return replace(
        layout,
        entries=tuple(layout.entries[at] for at in order),
        labels=layout.labels[order],
        training=len(drawn.train),
        notes=(
            *layout.notes,
            f"{source}: there is no test/, so {len(drawn.validation)} of {total} images are the test set, drawn class "
            f"by class with data.split_seed {split_seed}",
        ),
    )
