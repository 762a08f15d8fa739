"""Pictures that Hugging Face's tables list: `metadata.csv` and Parquet files, and every mistake in one line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.damage import named_in_one_line
from support.dataset_files import image_bytes, pictures, write_folder

from study.config import DataConfig
from study.data import describe_dataset, load_dataset
from study.data.sources.arrays import describe_arrays, read_arrays
from study.data.sources.image_folder import read_image_folder
from study.errors import UserError

PIXELS = pictures((24, 6, 5, 3))
FILES = [image_bytes(each) for each in PIXELS]
LABELS = [at % 3 for at in range(24)]


def _csv(rows: Mapping[str, object], header: str = "file_name,label") -> bytes:
    return "\n".join([header, *(f"{name},{label}" for name, label in rows.items())]).encode()


def _listed(rows: Mapping[str, object], folder: str = "") -> dict[str, bytes]:
    """Pictures in a folder, and their list."""
    names = dict(zip(rows, FILES, strict=False))
    return {f"{folder}{name}": content for name, content in names.items()} | {f"{folder}metadata.csv": _csv(rows)}


def _table(
    path: Path,
    rows: Sequence[int],
    names: Sequence[str] | None = None,
    labels: Sequence[Any] = LABELS,
    columns: tuple[str, str] = ("image", "label"),
    more: Mapping[str, Sequence[Any]] | None = None,
) -> Path:
    """Rows of `FILES` and labels, in the form of Hugging Face's `datasets`."""
    image, label = columns
    table = pa.table(
        {
            image: [{"bytes": FILES[at], "path": f"{at}.png"} for at in rows],
            label: [labels[at] for at in rows],
            **(more or {}),
        }
    )
    if names is not None:
        features: dict[str, dict[str, Any]] = {image: {"_type": "Image"}}
        features |= {name: {"_type": "ClassLabel", "names": names} for name in (label, *(more or {}))}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=5)
    return path


def _refused(path: Path) -> str:
    with pytest.raises(UserError) as refusal:
        read_arrays(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def _same(images: np.ndarray[Any, Any], rows: Sequence[int]) -> bool:
    return np.array_equal(images, PIXELS[list(rows)].transpose(0, 3, 1, 2))


def test_a_list_in_each_folder_is_read(tmp_path: Path) -> None:
    files = _listed({f"{at}.png": ["ant", "bee", "cat"][at % 3] for at in range(12)}, "train/")
    more = _listed({f"{at}.png": ["ant", "bee", "cat"][at % 3] for at in range(6)}, "test/")
    write_folder(tmp_path, files | more)
    raw = read_arrays(tmp_path)
    assert raw.classes == ("ant", "bee", "cat")
    assert _same(raw.training.images, range(12))
    assert raw.training.labels.tolist() == LABELS[:12]
    assert _same(raw.test.images, range(6))
    assert raw.held_out == 0
    facts = describe_arrays(tmp_path)
    assert (facts.input_shape, facts.class_count) == ((3, 6, 5), 3)


def test_one_list_above_the_folders_is_read(tmp_path: Path) -> None:
    """Numbers are sorted as numbers, and other columns and files are not read."""
    parts = {"train": range(12), "valid": range(12, 18), "test": range(18, 24)}
    rows = {f"{part}/{at}.png": f"{2 + 8 * (at % 2)},x" for part, each in parts.items() for at in each}
    files = dict(zip(rows, FILES, strict=True))
    write_folder(tmp_path, files | {"train/other.png": FILES[0], "metadata.csv": _csv(rows, "file_name,label,more")})
    raw = read_arrays(tmp_path)
    assert raw.classes == ("2", "10")
    assert _same(raw.training.images, range(18))
    assert raw.training.labels.tolist() == [at % 2 for at in range(18)]
    assert raw.held_out == 6
    assert raw.notes[0].endswith("not read: 1 pictures that metadata.csv does not list")
    assert raw.notes[1].endswith("the images of validation are the validation images; data.validation has no effect")


def test_a_list_without_parts_has_a_drawn_test_set(tmp_path: Path) -> None:
    write_folder(tmp_path, _listed({f"{at}.png": at % 3 for at in range(24)}))
    raw = read_arrays(tmp_path)
    assert (len(raw.training), len(raw.test)) == (19, 5)
    assert "5 of 24 images are the test set, drawn class by class with data.split_seed 0" in raw.notes[0]
    assert read_arrays(tmp_path, split_seed=1).test.images.tobytes() != raw.test.images.tobytes()


@pytest.mark.parametrize(
    "folder", ["data/{}-00000-of-00001.parquet", "{}/0000.parquet", "{}.parquet", "default/{}/0.parquet"]
)
def test_parquet_files_are_read(tmp_path: Path, folder: str) -> None:
    for part, rows in {"train": range(12), "validation": range(12, 18), "test": range(18, 24)}.items():
        _table(tmp_path / folder.format(part), rows, ["ant", "bee", "cat"])
    raw = read_arrays(tmp_path)
    assert raw.classes == ("ant", "bee", "cat")
    assert _same(raw.training.images, range(18))
    assert raw.training.labels.tolist() == LABELS[:18]
    assert _same(raw.test.images, range(18, 24))
    assert raw.test.labels.tolist() == LABELS[18:]
    assert raw.held_out == 6


def test_files_of_several_parts_are_read_in_order(tmp_path: Path) -> None:
    _table(tmp_path / "train-00001-of-00002.parquet", range(9, 18))
    _table(tmp_path / "train-00000-of-00002.parquet", range(9))
    _table(tmp_path / "test.parquet", range(18, 24))
    raw = read_arrays(tmp_path)
    assert _same(raw.training.images, range(18))
    assert raw.classes == ("0", "1", "2")


def test_one_parquet_file_has_a_drawn_test_set(tmp_path: Path) -> None:
    path = _table(tmp_path / "train.parquet", range(24), labels=[["ant", "bee"][at % 2] for at in range(24)])
    raw = read_arrays(path)
    assert (raw.classes, len(raw.training), len(raw.test)) == (("ant", "bee"), 19, 5)


def test_the_first_of_several_columns_of_labels_is_read(tmp_path: Path) -> None:
    """CIFAR-100 has fine and coarse labels, and its pictures are in the column img."""
    path = _table(tmp_path / "a.parquet", range(24), list("abc"), columns=("img", "fine"), more={"coarse": [0, 1] * 12})
    raw = read_arrays(path)
    assert raw.classes == ("a", "b", "c")
    assert raw.notes[0].endswith("the labels are those of the column fine, and not of coarse")


def test_a_class_without_training_images_is_left_out(tmp_path: Path) -> None:
    raw = read_arrays(_table(tmp_path / "a.parquet", range(24), ["ant", "bee", "cat", "dog"]))
    assert raw.classes == ("ant", "bee", "cat")
    assert "no training image of 1 of 4 classes, which are left out: dog" in raw.notes[0]


def test_a_study_reads_listed_pictures_of_any_size(tmp_path: Path) -> None:
    small = {f"{at}.png": image_bytes(pictures((4 + at % 3, 7, 3), at)) for at in range(24)}
    write_folder(tmp_path / "set", small | {"metadata.csv": _csv({name: at % 2 for at, name in enumerate(small)})})
    config = DataConfig.model_validate({"name": "arrays", "path": "set", "size": [5, 6], "background": "#000000"})
    dataset = load_dataset(config, tmp_path)
    assert dataset.input_shape == (3, 5, 6)
    assert describe_dataset(config, tmp_path).input_shape == (3, 5, 6)
    with pytest.raises(UserError, match=r"give data.size to resize and crop all of them"):
        load_dataset(config.model_copy(update={"size": None}), tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": b"x"}, "no metadata.csv and no .parquet file in it; pictures in folders of classes are data.name"),
        ({"metadata.csv": b""}, "metadata.csv: expected the columns file_name and label; it has none"),
        ({"metadata.csv": b"file_name,text\na.png,x\n"}, "it has file_name, text"),
        ({"metadata.csv": b"file_name,label\n"}, "metadata.csv lists no pictures"),
        ({"metadata.csv": b"file_name,label\na.png\n"}, "metadata.csv, line 2: 1 values for 2 columns"),
        ({"metadata.csv": b"file_name,label\na.png,\n"}, "metadata.csv, line 2: no file_name, or no label"),
        (
            {"metadata.csv": b"file_name,label\na.png,0\nb.png,1"},
            "2 files that metadata.csv lists are not there, for in",
        ),
        ({"metadata.csv": b"file_name,label\n../a.png,0"}, "1 files that metadata.csv lists are not there"),
        (
            {"metadata.csv": b"file_name,label\nmetadata.csv,0"},
            "line 2: metadata.csv does not have the name of a picture file",
        ),
        ({"metadata.csv": b"file_name,label\na.png,0\na.png,1", "a.png": FILES[0]}, "line 3: a.png is listed twice"),
        ({"metadata.csv": b'file_name,label\n"a.png,0'}, "metadata.csv, line 2: not CSV: unexpected end of data"),
        ({"metadata.csv": b"file_name,label\n\xff,0"}, "metadata.csv: not text in UTF-8"),
        (_listed({"a.png": 0, "b.png": 0}), "only one class in label (train)"),
        (_listed({"train/a.png": 0, "train/b.png": 1, "c.png": 1}), "c.png is not in a folder or file named train,"),
        (_listed({"test/a.png": 0, "test/b.png": 1}), "no training images in it"),
        (
            _listed({"train/a.png": 0, "train/b.png": 1, "test/c.png": 2}),
            "label (test) has the class 2, which no train",
        ),
    ],
)
def test_a_mistake_in_a_list_is_named(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    write_folder(tmp_path, files)
    assert message in _refused(tmp_path)


def test_a_listed_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, _listed({f"{at}.png": at % 3 for at in range(24)}) | {"3.png": b"x"})
    assert "3.png: not an image, although its name says so" in _refused(tmp_path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [0, 1]}, "has no column of pictures named image or img; it has label"),
        (
            {"image": [{"bytes": FILES[0], "path": ""}] * 2},
            "has no column of labels named label or labels; it has image",
        ),
        ({"image": ["a", "b"], "label": [0, 1]}, "image is of string; expected the bytes of picture files"),
        ({"image": [b"", b"x"] * 6, "label": [0, 1] * 6}, "not an image, although its name says so"),
        ({"image": [FILES[0], None] * 6, "label": [0, 1] * 6}, "row 1 has no bytes in image"),
        ({"image": FILES[:2], "label": [0, None]}, "1 rows have no label"),
        ({"image": FILES[:2], "label": [0.5, 1.5]}, "label is of double; expected whole numbers or text"),
        ({"image": FILES[:0], "label": LABELS[:0]}, "no rows in it"),
    ],
)
def test_a_mistake_in_a_table_is_named(tmp_path: Path, columns: dict[str, list[Any]], message: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert message in _refused(tmp_path / "a.parquet")


def test_a_label_without_a_name_is_refused(tmp_path: Path) -> None:
    hidden = [-1, *LABELS[1:]]
    path = _table(tmp_path / "a.parquet", range(24), ["a", "b", "c"], hidden)
    assert "label has the value -1, and 3 classes have names" in _refused(path)


def test_several_data_sets_in_one_folder_are_refused(tmp_path: Path) -> None:
    for name in ("cropped", "full"):
        _table(tmp_path / name / "train-0.parquet", range(12))
    assert "Parquet files in cropped and in full; let data.path be one of these folders" in _refused(tmp_path)


def test_another_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(
        UserError, match=r"train.parquet: a pointer of Git LFS, not the file itself, not a Parquet file"
    ):
        read_arrays(tmp_path)


def test_an_image_folder_names_the_reader_of_lists(tmp_path: Path) -> None:
    write_folder(tmp_path, _listed({f"{at}.png": at % 3 for at in range(24)}, "train/"))
    with pytest.raises(UserError, match=r"metadata.csv and Parquet files are read by data.name arrays"):
        read_image_folder(tmp_path)


def test_a_damaged_table_is_read_or_named(tmp_path: Path) -> None:
    path = _table(tmp_path / "a.parquet", range(24), ["a", "b", "c"])
    assert named_in_one_line(path, read_arrays) > 15
