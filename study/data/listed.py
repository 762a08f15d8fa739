"""Pictures that a table lists with their labels, as Hugging Face writes them: `metadata.csv`, or Parquet files.

Works on a folder with `metadata.csv` files (columns `file_name` and `label`) beside or above the pictures, on a folder
of Parquet files, and on one Parquet file. What an image is for is read from the names of folders and Parquet files:
`train`, `validation` and `test`, as Hugging Face does. Knows nothing of pixels.
"""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from study.data.files.archive import shown
from study.data.files.parquet import PictureTable, picture_table
from study.data.files.pictures import can_be_picture
from study.data.files.tree import MAX_FILE_BYTES, Entry, Tree, open_tree
from study.data.labels import numbered
from study.data.layout import VALIDATION, Layout, Part, with_drawn_test
from study.errors import UserError

METADATA = "metadata.csv"
PARQUET = ".parquet"
_TABLES = (f"*{PARQUET}", f"*/*{PARQUET}")
_WORDS: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": VALIDATION,
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The words in the name of a folder or Parquet file that say what its images are for."""


@dataclass(frozen=True)
class _List:
    """Listed pictures: their files, what each is for (None: it is not said), and their labels."""

    entries: tuple[Entry, ...]
    parts: tuple[Part | None, ...]
    labels: npt.NDArray[Any]
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def open_listed(path: Path, split_seed: int, most_total_bytes: int) -> tuple[Tree, Layout]:
    """Find the pictures of a folder or of one Parquet file, in the order of the list.

    Args:
        path: the folder or file.
        split_seed: fixes which images are drawn as the test set, if there is none.
        most_total_bytes: the most bytes that one Parquet file may unpack to.

    Raises:
        UserError: one line: nothing is listed, a file is missing, or a label is.
    """
    if not path.is_dir():
        return _of_parquet(path, [((path.name,), path)], split_seed, most_total_bytes)
    tree = open_tree(path, most_total_bytes)
    visible = [
        entry
        for entry in sorted(tree.entries, key=lambda each: each.parts)
        if entry.kind == "file" and not any(name.startswith(".") for name in entry.parts)
    ]
    lists = [entry for entry in visible if entry.parts[-1] == METADATA]
    if lists:
        return tree, _layout(str(path), _of_metadata(tree, lists, visible), split_seed)
    tables = [(entry.parts, path.joinpath(*entry.parts)) for entry in visible if entry.parts[-1].endswith(PARQUET)]
    if not tables:
        raise UserError(
            f"{path}: no {METADATA} and no {PARQUET} file in it; pictures in folders of classes are data.name "
            "image_folder"
        )
    _check_one_set(path, [parts for parts, _ in tables])
    return _of_parquet(path, tables, split_seed, most_total_bytes)


def seems_listed(path: Path) -> bool:
    """Whether a folder, or a folder in it, has `metadata.csv` or a Parquet file."""
    return path.is_dir() and any(next(path.glob(each), None) for each in (METADATA, f"*/{METADATA}", *_TABLES))


def part_of(names: Sequence[str]) -> Part | None:
    """What images are for, by the names of their folders and file; the first name that says so counts."""
    for name in names:
        words = re.split(r"[^a-z]+", name.lower())
        for part, known in _WORDS.items():
            if any(word in known for word in words):
                return part
    return None


# -------------------------------------------------------------------------------------------------------- metadata.csv


def _of_metadata(tree: Tree, lists: Sequence[Entry], visible: Sequence[Entry]) -> _List:
    """The pictures that `metadata.csv` files list. A name in it begins at its own folder."""
    files = {_normalised(entry.parts): entry for entry in visible}
    entries: dict[Entry, str] = {}
    missing: list[str] = []
    contents = dict(tree.contents(lists))
    for at, each in enumerate(lists):
        for line, name, label in _rows(f"{tree.path}: {each.name}", contents[at]):
            parts = (*each.parts[:-1], *PurePosixPath(name).parts)
            entry = files.get(_normalised(parts))
            where = f"{tree.path}: {each.name}, line {line}"
            if entry is None:
                missing.append(shown("/".join(parts)))
            elif entry in entries:
                raise UserError(f"{where}: {shown(name)} is listed twice")
            elif not can_be_picture(entry.parts[-1]):
                raise UserError(f"{where}: {shown(name)} does not have the name of a picture file")
            else:
                entries[entry] = label
    if missing:
        raise UserError(
            f"{tree.path}: {len(missing)} files that {METADATA} lists are not there, for instance {missing[0]}"
        )
    if not entries:
        raise UserError(f"{tree.path}: {METADATA} lists no pictures")
    unlisted = sum(can_be_picture(entry.parts[-1]) for entry in visible) - len(entries)
    return _List(
        entries=tuple(entries),
        parts=tuple(part_of(entry.parts[:-1]) for entry in entries),
        labels=_values(list(entries.values())),
        notes=(f"{tree.path}: not read: {unlisted} pictures that {METADATA} does not list",) if unlisted else (),
    )


def _rows(where: str, content: bytes) -> Iterator[tuple[int, str, str]]:
    """Line, file name and label of every row."""
    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(rows, [])
        if len({"file_name", "label"} & set(header)) < 2:
            columns = ", ".join(map(shown, header[:8])) or "none"
            raise UserError(f"{where}: expected the columns file_name and label; it has {columns}")
        name, label = header.index("file_name"), header.index("label")
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise UserError(f"{where}, line {rows.line_num}: {len(row)} values for {len(header)} columns")
            if not row[name].strip() or not row[label].strip():
                raise UserError(f"{where}, line {rows.line_num}: no file_name, or no label")
            yield rows.line_num, row[name].strip(), row[label].strip()
    except UnicodeDecodeError:
        raise UserError(f"{where}: not text in UTF-8; save it as UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{where}, line {rows.line_num}: not CSV: {error}") from None


def _values(labels: Sequence[str]) -> npt.NDArray[Any]:
    """Labels as whole numbers if all of them are, so that class 10 comes after class 9; else as text."""
    if all(re.fullmatch(r"-?[0-9]{1,15}", label) for label in labels):
        return np.array([int(label) for label in labels])
    return np.array([unicodedata.normalize("NFC", label) for label in labels])


def _normalised(parts: Sequence[str]) -> str:
    """A file's name in one spelling: macOS decomposes letters with accents, and a list may not."""
    return unicodedata.normalize("NFC", "/".join(parts))


# ------------------------------------------------------------------------------------------------------- Parquet files


def _of_parquet(
    path: Path, files: Sequence[tuple[tuple[str, ...], Path]], split_seed: int, most_total_bytes: int
) -> tuple[Tree, Layout]:
    """The pictures in the rows of Parquet files, in the order of files and rows."""
    tables = [picture_table(file, most_total_bytes) for _, file in files]
    first, *others = tables
    for other in others:
        if (other.label, other.names) != (first.label, first.names):
            raise UserError(f"{path}: the labels of {other.path.name} have other names than those of {first.path.name}")
    entries = [
        Entry((*parts, f"row {row}"), "file", (at, row))
        for at, (parts, _) in enumerate(files)
        for row in range(tables[at].rows)
    ]
    notes = []
    if first.other_labels:
        others_named = ", ".join(map(shown, first.other_labels))
        notes.append(f"{path}: the labels are those of the column {shown(first.label)}, and not of {others_named}")
    listed = _List(
        entries=tuple(entries),
        parts=tuple(None if path.is_file() else part_of(entry.parts[:-1]) for entry in entries),
        labels=np.concatenate([table.labels() for table in tables]),
        class_names=first.names,
        notes=tuple(notes),
    )

    def contents(wanted: Sequence[Entry]) -> Iterator[tuple[int, bytes]]:
        return _pictures(tables, wanted)

    return Tree(path, tuple(entries), contents), _layout(str(path), listed, split_seed)


def _pictures(tables: Sequence[PictureTable], wanted: Sequence[Entry]) -> Iterator[tuple[int, bytes]]:
    position_of = {entry.place: position for position, entry in enumerate(wanted)}
    for at, table in enumerate(tables):
        for row, content in enumerate(table.pictures(MAX_FILE_BYTES)):
            if (position := position_of.get((at, row))) is not None:
                yield position, content


def _check_one_set(path: Path, names: Sequence[tuple[str, ...]]) -> None:
    """Check that the files are parts of one data set: a repository may have several, in a folder each."""
    sets = sorted({tuple(name for name in parts[:-1] if part_of([name]) is None) for parts in names})
    if len(sets) > 1:
        first, second = (shown("/".join(each) or ".") for each in sets[:2])
        raise UserError(f"{path}: Parquet files in {first} and in {second}; let data.path be one of these folders")


# ---------------------------------------------------------------------------------------------------- parts and classes


def _layout(source: str, listed: _List, split_seed: int) -> Layout:
    """Puts training images first, then validation images, then test images, each in the order of the list."""
    counts = Counter(listed.parts)
    notes = list(listed.notes)
    parts: list[Part] = [each or "train" for each in listed.parts]
    if counts[None] and len(counts) > 1:
        of_none = listed.entries[listed.parts.index(None)].name
        raise UserError(
            f"{source}: {shown(of_none)} is not in a folder or file named train, validation or test; other files are"
        )
    if "train" not in parts:
        raise UserError(f"{source}: no training images in it; expected a folder or file with train in its name")
    if counts["validation"] and counts["test"]:
        notes.append(f"{source}: the images of validation are the validation images; data.validation has no effect")
    elif counts["validation"]:
        notes.append(f"{source}: there is no test, so the images of validation are the test set")
        parts = ["test" if each == "validation" else each for each in parts]
    order: list[Part] = ["train", "validation", "test"]
    rows = {part: np.array([at for at, each in enumerate(parts) if each == part], dtype=np.int64) for part in order}
    names, labels = numbered(
        source, {f"label ({part})": listed.labels[rows[part]] for part in order if len(rows[part])}, "label (train)"
    )
    if listed.class_names is not None:
        notes += _without_images(source, names, listed.class_names)
        names = tuple(listed.class_names[int(name)] for name in names)
    layout = Layout(
        classes=names,
        entries=tuple(listed.entries[at] for part in order for at in rows[part]),
        labels=np.concatenate(list(labels.values())),
        training=len(rows["train"]) + len(rows["validation"]),
        held_out=len(rows["validation"]),
        notes=(),
    )
    if not len(rows["test"]):
        layout = with_drawn_test(source, layout, split_seed)
    return replace(layout, notes=(*notes, *layout.notes))


def _without_images(source: str, known: Sequence[str], class_names: Sequence[str]) -> list[str]:
    """Classes that have a name and no training image; the networks have no logit for them."""
    without = [name for at, name in enumerate(class_names) if str(at) not in set(known)]
    if not without:
        return []
    named = ", ".join(map(shown, without[:5])) + (f" and {len(without) - 5} more" if len(without) > 5 else "")
    return [f"{source}: no training image of {len(without)} of {len(class_names)} classes, which are left out: {named}"]
