"""Pictures and labels in the rows of Parquet files, as Hugging Face writes them. Nothing in the file is trusted.

Works on a column of encoded pictures (`{bytes, path}`, or the bytes themselves) and a column of labels. Class names are
read from Hugging Face's metadata in the schema, if they are there. Rows are read a few at a time. Knows nothing of
pixels.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from study.data.files.archive import shown
from study.data.files.kinds import kind_of
from study.errors import UserError

IMAGES = ("image", "img")
LABELS = ("label", "labels")
"""The names of the columns, if the metadata do not name them; the first one that is there."""
_ROWS = 64


@dataclass(frozen=True)
class PictureTable:
    """One file.

    Attributes:
        path: where it is.
        rows: how many pictures it has.
        image, label: the columns.
        names: the class names, in the order of the labels; None if the labels are names, or have none.
        other_labels: columns of labels that are not read.
    """

    path: Path
    rows: int
    image: str
    label: str
    names: tuple[str, ...] | None
    other_labels: tuple[str, ...]
    _is_struct: bool

    def labels(self) -> npt.NDArray[Any]:
        """The label of every row: whole numbers, or text.

        Raises:
            UserError: a row has none, or the file is damaged.
        """
        import pyarrow.parquet as pq

        with _one_line(self.path):
            column = pq.read_table(self.path, columns=[self.label], partitioning=None).column(self.label)
            values = np.array(column.to_pylist())
        if len(values) != self.rows:
            raise UserError(f"{self.path}: {len(values)} values of {shown(self.label)} for {self.rows} rows")
        if column.null_count:
            raise UserError(f"{self.path}: {column.null_count} rows have no {shown(self.label)}")
        if values.dtype.kind not in "iubU":
            raise UserError(f"{self.path}: {shown(self.label)} is of {column.type}; expected whole numbers or text")
        if self.names is not None and len(values) and not 0 <= values.min() <= values.max() < len(self.names):
            wrong = values.min() if values.min() < 0 else values.max()
            raise UserError(
                f"{self.path}: {shown(self.label)} has the value {wrong}, and {len(self.names)} classes have names"
            )
        return values

    def pictures(self, most_bytes: int) -> Iterator[bytes]:
        """The file of every picture, in the order of the rows.

        Raises:
            UserError: a row has no picture or a larger one than `most_bytes`, or the file is damaged.
        """
        import pyarrow.parquet as pq

        leaf = f"{self.image}.bytes" if self._is_struct else self.image
        at = 0
        with _one_line(self.path), pq.ParquetFile(self.path, buffer_size=2**20) as opened:
            for batch in opened.iter_batches(batch_size=_ROWS, columns=[leaf], use_threads=False):
                column = batch.column(0)
                for value in column.field("bytes") if self._is_struct else column:
                    content = value.as_py()
                    if content is None:
                        raise UserError(
                            f"{self.path}: row {at} has no bytes in {shown(self.image)}; save the pictures in the file"
                        )
                    if len(content) > most_bytes:
                        raise UserError(f"{self.path}: the picture in row {at} has more than {most_bytes // 2**20} MB")
                    yield content
                    at += 1
            if at != self.rows:
                raise ValueError(f"{at} pictures for {self.rows} rows")


def picture_table(path: Path, most_total_bytes: int) -> PictureTable:
    """Find the columns of a file. Only its schema is read.

    Raises:
        UserError: it is no Parquet file, is damaged or too large, or has no such columns.
    """
    import pyarrow.parquet as pq

    with _one_line(path):
        kind = kind_of(path)
        if kind != "a Parquet file":
            raise UserError(f"{path}: {kind or 'a file of another kind'}, not a Parquet file")
        with pq.ParquetFile(path) as opened:
            schema, metadata = opened.schema_arrow, opened.metadata
            total = sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups))
    if not metadata.num_rows:
        raise UserError(f"{path}: no rows in it")
    if total > most_total_bytes:
        raise UserError(f"{path}: refused: it unpacks to more than {most_total_bytes // 2**30} GiB")
    features = _features(schema.metadata or {})
    image = _chosen(path, schema, _of_type(features, "Image", schema.names), IMAGES, "pictures")
    labels = _of_type(features, "ClassLabel", schema.names)
    label = _chosen(path, schema, labels, LABELS, "labels")
    kind_of_image = schema.field(image).type
    is_struct = hasattr(kind_of_image, "get_field_index") and kind_of_image.get_field_index("bytes") >= 0
    stored = kind_of_image.field("bytes").type if is_struct else kind_of_image
    if str(stored) not in ("binary", "large_binary"):
        raise UserError(
            f"{path}: {shown(image)} is of {shown(str(kind_of_image))}; expected the bytes of picture files"
        )
    names = features.get(label, {}).get("names")
    return PictureTable(
        path=path,
        rows=metadata.num_rows,
        image=image,
        label=label,
        names=tuple(map(str, names)) if isinstance(names, list) and names else None,
        other_labels=tuple(other for other in labels if other != label),
        _is_struct=is_struct,
    )


def _features(metadata: Mapping[bytes, bytes]) -> dict[str, dict[str, Any]]:
    """What Hugging Face says of each column; empty if it says nothing that can be read."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {name: each for name, each in features.items() if isinstance(each, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _of_type(features: Mapping[str, Mapping[str, Any]], kind: str, columns: Sequence[str]) -> list[str]:
    return [name for name, each in features.items() if each.get("_type") == kind and name in columns]


def _chosen(path: Path, schema: Any, typed: Sequence[str], usual: Sequence[str], what: str) -> str:
    """The column of a usual name; else the first one that the metadata name."""
    for name in (*usual, *typed):
        if name in schema.names and (name in typed or not typed):
            return name
    columns = ", ".join(map(shown, sorted(schema.names)[:8]))
    raise UserError(f"{path}: has no column of {what} named {' or '.join(usual)}; it has {columns}")


@contextlib.contextmanager
def _one_line(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError, MemoryError) as error:
        what = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: cannot be read as a Parquet file: {what}") from None
