"""Images in class folders, on disk or in a tar or zip archive: `train/CLASS/*` with `test/CLASS/*`, or `CLASS/*`.

Works on any folder or archive of a layout that `study.data.layout` understands. An archive is never unpacked to disk.
The content comes from outside, so nothing in it is trusted: neither the archive's member names, nor the extensions, nor
the sizes. Knows nothing of preprocessing.
"""

import os
from pathlib import Path

from study.config import DataConfig
from study.data.dataset import DatasetFacts, RawDataset, Split
from study.data.files.decoding import Rendering, decode_all, shape_of_all
from study.data.files.tree import Tree, open_tree
from study.data.layout import Layout, Nested, layout_of
from study.data.listed import seems_listed
from study.data.repeats import check_repeats
from study.data.source import MACHINE_BYTES, Source, memory_for_each_byte, path_of
from study.errors import UserError

MAX_TOTAL_BYTES = min(16 * 2**30, MACHINE_BYTES // 2)
"""The most bytes of the decoded images, and of the files of an archive: half of the machine's memory."""


def read_image_folder(
    path: Path, rendering: Rendering | None = None, nested: Nested | None = None, split_seed: int = 0
) -> RawDataset:
    """Decode every image of a folder or archive, in the order of class and file name.

    One channel if every image is gray, else three; 8 bits each. Images are turned upright by their EXIF orientation.

    Args:
        path: the folder or archive.
        rendering: how pictures become pixels.
        nested, split_seed: as for `layout_of`.

    Raises:
        UserError: one line that names the file: not there, not an image, truncated, of another size, in the wrong
            place; an unsafe or oversized archive member; a class without images; fewer than two classes; training
            images of which more than half are equal.
    """
    tree, layout = _opened(path, nested, split_seed)
    return decoded(tree, layout, rendering or Rendering(most_bytes=MAX_TOTAL_BYTES))


def describe_image_folder(
    path: Path, rendering: Rendering | None = None, nested: Nested | None = None, split_seed: int = 0
) -> DatasetFacts:
    """The shape and the class count. Every image is opened, but few formats need to be decoded for that.

    Raises:
        UserError: as `read_image_folder`, but for damage that is seen only when an image is decoded.
    """
    return described(*_opened(path, nested, split_seed), rendering or Rendering())


def decoded(tree: Tree, layout: Layout, rendering: Rendering) -> RawDataset:
    """Decode every image of a layout, in its order.

    Raises:
        UserError: an image is damaged, of another size or too large, or more than half of the training images are
            equal.
    """
    source, first_test = str(tree.path), layout.training
    pictures = decode_all(source, layout.names, tree.contents(layout.entries), rendering)
    images = pictures.images
    return RawDataset(
        classes=tuple(map(readable, layout.classes)),
        notes=(
            *layout.notes,
            *pictures.notes(source, rendering),
            *check_repeats(source, images, layout.names, first_test),
        ),
        training=Split(images[:first_test], layout.labels[:first_test]),
        test=Split(images[first_test:], layout.labels[first_test:]),
        max_value=255.0,
        held_out=layout.held_out,
    )


def described(tree: Tree, layout: Layout, rendering: Rendering) -> DatasetFacts:
    """The shape and the class count. Every image is opened."""
    shape = shape_of_all(str(tree.path), layout.names, tree.contents(layout.entries), rendering)
    return DatasetFacts(shape, len(layout.classes))


def readable(name: str) -> str:
    """A class name from outside as text: bytes that are not UTF-8 become `\\xNN`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _opened(path: Path, nested: Nested | None, split_seed: int) -> tuple[Tree, Layout]:
    if not os.path.exists(path):  # also False for a path that is too long
        raise UserError(
            f"data.path: {path} does not exist; give a folder, tar or zip file of train/CLASS/* and test/CLASS/*, or "
            "of CLASS/*"
        )
    tree = open_tree(path, MAX_TOTAL_BYTES)
    try:
        return tree, layout_of(str(path), tree.entries, nested, split_seed)
    except UserError as error:
        if seems_listed(path):
            raise UserError(f"{error}; metadata.csv and Parquet files are read by data.name arrays") from None
        raise


def rendering_of(config: DataConfig) -> Rendering:
    """How a data section wants pictures to become pixels."""
    red, green, blue = bytes.fromhex((config.background or "#ffffff").removeprefix("#"))
    return Rendering((red, green, blue), config.size, int(MAX_TOTAL_BYTES / memory_for_each_byte(config)))


def _read(config: DataConfig, data_root: Path) -> RawDataset:
    return read_image_folder(path_of(config, data_root), rendering_of(config), config.nested, config.split_seed)


def _describe(config: DataConfig, data_root: Path) -> DatasetFacts:
    return describe_image_folder(path_of(config, data_root), rendering_of(config), config.nested, config.split_seed)


SOURCE = Source(name="image_folder", facts=_describe, read=_read)
