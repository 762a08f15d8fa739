"""Which files are images of which class: in every layout that people have, and in archives as in a folder."""

import re
import tarfile
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.dataset_files import image_bytes, image_set, pictures, write_folder, write_zip

from study.config import DataConfig
from study.data import load_dataset
from study.data.files.tree import Entry
from study.data.layout import Layout, Nested, layout_of
from study.data.sources.image_folder import describe_image_folder, read_image_folder
from study.errors import UserError


def _layout(*names: str, nested: Nested | None = None, split_seed: int = 0) -> Layout:
    """The layout of these files, or of folders if a name ends in a slash."""
    entries = [Entry(tuple(name.strip("/").split("/")), "folder" if name.endswith("/") else "file") for name in names]
    return layout_of("here", entries, nested, split_seed)


def _refused(*names: str, nested: Nested | None = None) -> str:
    with pytest.raises(UserError) as refusal:
        _layout(*names, nested=nested)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def _files(folder: str, count: int) -> list[str]:
    return [f"{folder}/{number}.png" for number in range(count)]


@pytest.mark.parametrize("top", ["", "top/"])
@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev"])
def test_val_beside_test_is_for_validation(top: str, name: str) -> None:
    names = [f"{top}{part}/{each}/0.png" for part in ("test", name, "train") for each in ("dog", "cat")]
    found = _layout(*names)
    assert found.classes == ("cat", "dog")
    assert [each.removeprefix(top) for each in found.names] == [
        *("train/cat/0.png", "train/dog/0.png"),
        *(f"{name}/cat/0.png", f"{name}/dog/0.png"),
        *("test/cat/0.png", "test/dog/0.png"),
    ]
    assert (found.training, found.held_out) == (4, 2)
    assert found.labels.tolist() == [0, 1] * 3
    assert found.notes == (f"here: the images of {name}/ are the validation images; data.validation has no effect",)


def test_val_is_the_test_set_where_there_is_no_test() -> None:
    found = _layout("train/a/0.png", "train/b/0.png", "valid/a/0.png")
    assert (found.training, found.held_out, len(found.entries)) == (2, 0, 3)
    assert found.notes == ("here: there is no test/, so the images of valid/ are the test set",)


def test_two_folders_for_validation_are_refused() -> None:
    assert "val/ and dev/ are there; keep one" in _refused(*(f"{part}/a/0.png" for part in ("train", "val", "dev")))


def test_train_alone_is_refused_with_a_way_out() -> None:
    refusal = _refused(*_files("train/a", 5), *_files("train/b", 5))
    assert "no test/CLASS/ folder in it" in refusal
    assert "let data.path be the folder train/" in refusal


@pytest.mark.parametrize("top", ["", "flowers/"])
def test_a_test_set_is_drawn_from_class_folders(top: str) -> None:
    names = [*_files(f"{top}rose", 50), *_files(f"{top}aster", 15), *_files(f"{top}rare", 1)]
    found = _layout(*names)
    assert found.classes == ("aster", "rare", "rose")
    assert np.bincount(found.labels[found.training :], minlength=3).tolist() == [3, 0, 10]
    assert sorted(found.names) == sorted(names)
    assert found.notes == (
        "here: there is no test/, so 13 of 66 images are the test set, drawn class by class with data.split_seed 0",
    )
    assert _layout(*reversed(names)).names == found.names
    assert _layout(*names, split_seed=1).names != found.names


def test_other_files_beside_class_folders_are_counted() -> None:
    found = _layout("README.md", "preview.png", ".git/x.png", "a/notes.txt", *_files("a", 5), *_files("b", 5))
    assert found.classes == ("a", "b")
    assert found.notes[0].startswith(
        "here: not read: 1 .md files, 1 .txt files, 1 files in hidden folders, 1 images ou"
    )


def test_a_picture_beside_the_only_folder_is_no_class() -> None:
    assert _layout("preview.png", *_files("top/a", 5), *_files("top/b", 5)).classes == ("a", "b")


def test_too_few_images_to_draw_a_test_set_are_refused() -> None:
    assert "2 images of 2 classes are too few to draw a test set from them" in _refused("a/0.png", "b/0.png")


def test_nested_folders_need_an_option() -> None:
    names = [
        f"{part}/{name}/{number}.png"
        for part in ("train", "test")
        for name in ("cat/indoors", "cat", "dog/outdoors/snow")
        for number in range(2)
    ]
    assert "test/cat/indoors/0.png is misplaced; images belong directly in test/CLASS/ (data.nested" in _refused(*names)
    first = _layout(*names, nested="first")
    assert first.classes == ("cat", "dog")
    assert np.bincount(first.labels).tolist() == [8, 4]
    assert _layout(*names, nested="path").classes == ("cat", "cat/indoors", "dog/outdoors/snow")


def test_nested_folders_may_be_flat_too() -> None:
    names = [*_files("animals/cat", 9), *_files("animals/dog", 9), *_files("plants/rose", 9)]
    assert _layout(*names, nested="path").classes == ("animals/cat", "animals/dog", "plants/rose")
    assert _layout(*names, nested="first").classes == ("animals", "plants")


def test_class_names_are_compared_after_normalisation() -> None:
    """macOS decomposes the accents of file names, other systems do not."""
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    found = _layout(f"train/{decomposed}/0.png", "train/tea/0.png", f"test/{composed}/0.png", "val/tea/0.png")
    assert found.classes == (decomposed, "tea")
    assert found.labels.tolist() == [0, 1, 1, 0]


def test_a_class_without_training_images_is_named() -> None:
    known = ("train/a/0.png", "train/b/0.png", "test/a/0.png")
    assert "class c is in val/ only" in _refused(*known, "val/c/0.png")
    assert "no image in test/c" in _refused(*known, "test/c/")


def test_links_outside_the_used_folders_are_ignored() -> None:
    link = Entry(("latest",), "other")
    names = ["train/a/0.png", "train/b/0.png", "test/a/0.png"]
    entries = [Entry(tuple(name.split("/")), "file") for name in names]
    plain = layout_of("here", entries, None, 0)
    assert layout_of("here", [*entries, link], None, 0).entries == plain.entries
    flat = [Entry((name, f"{number}.png"), "file") for name in "ab" for number in range(5)]
    assert len(layout_of("here", [*flat, link], None, 0).entries) == 10
    for place in (("train", "a", "1.png"), ("test", "b")):
        with pytest.raises(UserError, match=f"refused: {'/'.join(place)} is a link or a device"):
            layout_of("here", [*entries, Entry(place, "other")], None, 0)


def test_its_own_validation_images_are_used(tmp_path: Path) -> None:
    files = image_set({"a": 10, "b": 20}, {"a": 2, "b": 2})
    val = image_set({}, {"a": 3, "b": 1}, size=(6, 5, 3))
    files |= {name.replace("test/", "val/"): image_bytes(pictures((6, 5, 3), 900 + at)) for at, name in enumerate(val)}
    write_folder(tmp_path / "images", files)
    settings = {"name": "image_folder", "path": "images"}
    half, whole = (
        load_dataset(DataConfig.model_validate(settings | {"fraction": share}), tmp_path) for share in (0.5, 1)
    )
    for dataset in (half, whole):
        assert dataset.validation.labels.tolist() == [0, 0, 0, 1]
    assert np.bincount(whole.train.labels).tolist() == [10, 20]
    assert np.bincount(half.train.labels).tolist() == [5, 10]


# ----------------------------------------------------------------------------------------------- random trees of files

_IMAGES = [image_bytes(pictures((2, 2, 3), seed)) for seed in range(12)]
_tops = st.sampled_from(["", "", "top/", "other/"])
_parts = st.sampled_from(["train/", "test/", "train/", "test/", "val/", "valid/", ""])
_classes = st.sampled_from(
    ["cat/", "dog/", "cat/", "dog/", "caf\u00e9/", "cafe\u0301/", "cat/sub/", ".x/", "__MACOSX/", ""]
)
_names = st.sampled_from(["0.png", "1.png", "2.PNG", "3.jpg", "notes.txt", ".DS_Store", ".h.png", "x.heic", "ä.gif"])
_sound = {
    f"{part}{name}/{at}.png": _IMAGES[6 * number + 3 * ("dog" in name) + at]
    for number, part in enumerate(("train/", "test/"))
    for name in ("cat", "dog")
    for at in range(3)
}
_starts = st.sampled_from([{}, _sound, _sound, {name.partition("/")[2]: content for name, content in _sound.items()}])
_trees = st.builds(
    lambda top, start, paths: {f"{top}{path}": content for path, content in {**start, **paths}.items()},
    _tops,
    _starts,
    st.dictionaries(
        st.builds(lambda *parts: "".join(parts), _parts, _classes, _names),
        st.sampled_from([*_IMAGES, *_IMAGES, b"", b"text", image_bytes(pictures((2, 3)))]),
        max_size=4,
    ),
)


def _archive_tar(root: Path, target: Path) -> Path:
    with tarfile.open(target, f"w:{target.suffix[1:].removeprefix('tar')}") as opened:  # type: ignore[call-overload]
        for path in sorted(root.rglob("*"), reverse=True):
            opened.add(path, path.relative_to(root), recursive=False)
    return target


def _archive_zip(root: Path, target: Path) -> Path:
    files = {f"{path.relative_to(root)}{'/' * path.is_dir()}": path for path in root.rglob("*")}
    return write_zip(target, {name: b"" if path.is_dir() else path.read_bytes() for name, path in files.items()})


def _result(path: Path, nested: Nested | None) -> Sequence[object]:
    try:
        raw = read_image_folder(path, nested=nested)
    except UserError as error:
        line = str(error).replace(str(path), "PATH")
        return [re.sub(r"PATH: .*: not an image", "PATH: IMAGE: not an image", line)]  # which is found first may differ
    assert describe_image_folder(path, nested=nested).input_shape == raw.training.images.shape[1:]
    splits = [(split.images.tobytes(), split.labels.tolist()) for split in (raw.training, raw.test)]
    return [raw.classes, *splits, raw.held_out, [note.replace(str(path), "PATH") for note in raw.notes]]


@settings(max_examples=60, deadline=None)
@given(
    files=_trees,
    compression=st.sampled_from(["tar", "gz", "bz2", "xz"]),
    nested=st.sampled_from([None, "first", "path"]),
)
@example(
    files={
        f"{part}/{name}/0.png": _IMAGES[at]
        for at, (part, name) in enumerate((p, n) for p in ("train", "test") for n in "ab")
    },
    compression="gz",
    nested=None,
)
def test_a_tree_and_its_archives_are_read_alike(
    files: Mapping[str, bytes], compression: str, nested: Nested | None
) -> None:
    """Any tree of files is read, or refused in one line. Its tar and zip archives give the same."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        root.mkdir()
        write_folder(root, files)
        found = _result(root, nested)
        assert "\n" not in str(found[0])
        assert _result(_archive_tar(root, Path(folder) / f"a.{compression}"), nested) == found
        assert _result(_archive_zip(root, Path(folder) / "a.zip"), nested) == found


def test_many_random_trees_are_read() -> None:
    """Otherwise the test above compares refusals only."""
    outcomes: Counter[bool] = Counter()

    @settings(max_examples=60, deadline=None, database=None)
    @given(files=_trees)
    def count(files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            outcomes[len(_result(write_folder(Path(folder), files), "first")) > 1] += 1

    count()
    assert min(outcomes[True], outcomes[False]) >= 1
