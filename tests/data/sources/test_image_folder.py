"""Images in class folders: decoded in a fixed order, and every damage named by its file."""

import gzip
import io
import itertools
import os
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.dataset_files import image_bytes, image_set, pictures, write_folder, write_tar

from study.data.dataset import DatasetFacts
from study.data.files import tree
from study.data.sources import image_folder
from study.data.sources.image_folder import describe_image_folder, read_image_folder
from study.errors import UserError

FILES = image_set(train={"cat": 3, "ant": 4}, test={"cat": 1, "ant": 2})


def _write(tmp_path: Path, form: str, files: dict[str, bytes]) -> Path:
    if form == "folder":
        return write_folder(tmp_path / "images", files)
    return write_tar(tmp_path / f"images.{form}", files)


def _refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_image_folder(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("form", ["folder", "tar", "tar.gz", "tgz"])
@pytest.mark.parametrize("top", ["", "./", "animals/"])
def test_folder_and_archives_give_the_same_arrays(tmp_path: Path, form: str, top: str) -> None:
    raw = read_image_folder(_write(tmp_path, form, {f"{top}{name}": content for name, content in FILES.items()}))
    assert raw.classes == ("ant", "cat")
    assert raw.training.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert raw.test.labels.tolist() == [0, 0, 1]
    assert raw.training.images.shape == (7, 3, 6, 5)
    assert raw.training.images.dtype == np.uint8
    in_order = sorted(name for name in FILES if name.startswith("train"))
    for image, name in zip(raw.training.images, in_order, strict=True):
        assert np.array_equal(image, np.asarray(Image.open(io.BytesIO(FILES[name]))).transpose(2, 0, 1))


def test_the_order_in_an_archive_does_not_matter(tmp_path: Path) -> None:
    there = read_image_folder(write_tar(tmp_path / "there.tar", FILES))
    back = read_image_folder(write_tar(tmp_path / "back.tar", dict(reversed(FILES.items()))))
    assert np.array_equal(there.training.images, back.training.images)
    assert np.array_equal(there.test.images, back.test.images)


def test_gray_images_have_one_channel(tmp_path: Path) -> None:
    files = image_set({"a": 2, "b": 2}, {"a": 1, "b": 1}, size=(4, 4))
    raw = read_image_folder(write_folder(tmp_path, files))
    assert raw.training.images.shape == (4, 1, 4, 4)
    assert np.array_equal(raw.test.images[0, 0], np.asarray(Image.open(io.BytesIO(files["test/a/000.png"]))))


@pytest.mark.parametrize("coloured", ["train/a/000.png", "train/b/001.png", "test/b/000.png"])
def test_one_picture_in_colour_makes_all_of_them_rgb(tmp_path: Path, coloured: str) -> None:
    files = image_set({"a": 2, "b": 2}, {"a": 1, "b": 1}, size=(4, 4))
    files[coloured] = image_bytes(pictures((4, 4, 3)))
    raw = read_image_folder(write_folder(tmp_path, files))
    assert raw.training.images.shape == (4, 3, 4, 4)
    everything = np.concatenate([raw.training.images, raw.test.images])
    names = ["train/a/000.png", "train/a/001.png", "train/b/000.png", "train/b/001.png"]
    for image, name in zip(everything, [*names, "test/a/000.png", "test/b/000.png"], strict=True):
        expected = np.asarray(Image.open(io.BytesIO(files[name])).convert("RGB"))
        assert np.array_equal(image, expected.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK"])
def test_other_colour_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(pictures((6, 5, 3))).convert(mode).save(stream, "TIFF")
    raw = read_image_folder(write_folder(tmp_path, {**FILES, "train/ant/000.tiff": stream.getvalue()}))
    assert raw.training.images.shape == (8, 3, 6, 5)


def test_other_files_are_counted_and_not_read(tmp_path: Path) -> None:
    clutter = {
        ".DS_Store": b"x",
        "train/.hidden.jpg": b"x",
        "train/cat/._000.png": b"x",
        "train/cat/.thumbnails/000.png": b"x",
        "__MACOSX/train/cat/000.png": b"x",
        "train/cat/Thumbs.db": b"x",
        "train/labels.csv": b"x",
        "README.md": b"x",
        "preview.png": b"x",
        "docs/preview.png": b"x",
    }
    plain = read_image_folder(write_tar(tmp_path / "plain.tar", FILES))
    for path in (write_folder(tmp_path / "folder", FILES | clutter), write_tar(tmp_path / "a.tar", FILES | clutter)):
        raw = read_image_folder(path)
        assert raw.classes == plain.classes
        assert np.array_equal(raw.training.images, plain.training.images)
        kinds = "1 .csv files, 1 files in hidden folders, 1 hidden files"
        assert raw.notes == (f"{path}: not read: {kinds}",)
    assert plain.notes == ()


@pytest.mark.parametrize("form", ["folder", "tar.gz"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train/cat/001.jpg": b"just some text"}, "train/cat/001.jpg: not an image"),
        ({"train/cat/001.png": b""}, "train/cat/001.png: not an image"),
        ({"test/ant/000.png": FILES["test/ant/000.png"][:60]}, "test/ant/000.png: a truncated or damaged image"),
        (
            {"train/cat/001.png": image_bytes(pictures((5, 6, 3)))},
            "1 of 10 images are not 5×6 pixels like the others: 1 of 6×5, for instance train/cat/001.png; give data",
        ),
        ({"train/cat/sub/9.png": FILES["train/cat/000.png"]}, "images belong directly in train/CLASS/"),
        ({"train/9.png": FILES["train/cat/000.png"]}, "train/9.png is misplaced"),
        ({"train/dog/notes.txt": b"no picture yet"}, "no image in train/dog"),
        ({"test/dog/000.png": FILES["train/cat/000.png"]}, "class dog is in test/ only"),
        (
            {"train/cat/000.png": image_bytes(pictures((6, 5)).astype(np.uint16))},
            "train/cat/000.png: more than 8 bits a channel",
        ),
    ],
)
def test_a_damaged_image_is_named(tmp_path: Path, form: str, change: dict[str, bytes], message: str) -> None:
    assert message in _refused(_write(tmp_path, form, FILES | change))


def test_a_truncated_jpeg_is_named(tmp_path: Path) -> None:
    files = image_set({"a": 2, "b": 2}, {"a": 1, "b": 1}, size=(32, 32, 3), extension="jpg")
    files["train/b/001.jpg"] = files["train/b/001.jpg"][: len(files["train/b/001.jpg"]) * 2 // 3]
    assert "train/b/001.jpg: a truncated or damaged image" in _refused(write_folder(tmp_path, files))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP"])
def test_a_damaged_image_of_any_kind_is_either_read_or_named(tmp_path: Path, kind: str) -> None:
    extension = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    good = image_bytes(pictures((6, 5, 3)), kind)
    root = write_folder(tmp_path, image_set({"a": 1, "b": 1}, {"a": 1}))
    rng = np.random.default_rng(0)
    named = 0
    for _ in range(60):
        damaged = bytearray(good)
        for position in rng.integers(0, len(damaged), 3):
            damaged[position] = rng.integers(0, 256)
        (root / "train" / "b" / f"damaged.{extension}").write_bytes(damaged[: rng.integers(1, len(good) + 1)])
        try:
            read_image_folder(root)
        except UserError as error:
            named += f"train/b/damaged.{extension}" in str(error)
        else:
            named += 1  # it was the pixels that were damaged, and nobody can tell
    assert named == 60


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no train/CLASS/ folder"),
        ({"train/cat/0.png": FILES["train/cat/000.png"]}, "no test/CLASS/ folder"),
        ({"test/cat/0.png": FILES["train/cat/000.png"]}, "no train/CLASS/ folder"),
        ({"cat/0.png": FILES["train/cat/000.png"]}, "only one class, cat"),
        ({"0.png": FILES["train/cat/000.png"]}, "no CLASS/ folder with images"),
        (image_set({"cat": 2}, {"cat": 1}), "only one class, cat"),
        (
            {f"{top}/{name}": FILES[name] for top, name in itertools.product("ab", FILES)},
            "only one top folder may have them",
        ),
    ],
)
@pytest.mark.parametrize("form", ["folder", "tar"])
def test_other_layouts_are_refused(tmp_path: Path, form: str, files: dict[str, bytes], message: str) -> None:
    (tmp_path / "images").mkdir()
    assert message in _refused(_write(tmp_path, form, files))


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    (write_folder(tmp_path / "images", FILES) / "train" / "dog").mkdir()
    assert "no image in train/dog" in _refused(tmp_path / "images")
    folder = tarfile.TarInfo("train/dog")
    folder.type = tarfile.DIRTYPE
    assert "no image in train/dog" in _refused(write_tar(tmp_path / "images.tar", FILES, [folder]))


def test_a_class_may_lack_test_images(tmp_path: Path) -> None:
    raw = read_image_folder(write_folder(tmp_path, image_set({"a": 1, "b": 1}, {"b": 2})))
    assert raw.test.labels.tolist() == [1, 1]


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = link
    return member


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (_member("/etc/cron.d/job"), "/etc/cron.d/job points outside"),
        (_member("train/cat/../../../x.png"), "points outside the archive"),
        (_member("train/cat/9.png", tarfile.SYMTYPE, "/etc/passwd"), "train/cat/9.png is a link or a device"),
        (_member("train/cat/9.png", tarfile.LNKTYPE, "train/cat/000.png"), "is a link or a device"),
        (_member("train/cat/9.png", tarfile.CHRTYPE), "is a link or a device"),
        (_member("train/cat/9.png", tarfile.FIFOTYPE), "is a link or a device"),
        (_member("two\nlines/../x"), r"'two\nlines/../x' points outside"),
    ],
)
def test_an_unsafe_archive_member_is_refused(tmp_path: Path, member: tarfile.TarInfo, message: str) -> None:
    refusal = _refused(write_tar(tmp_path / "images.tar.gz", FILES, [member]))
    assert "refused" in refusal
    assert message in refusal


def test_an_oversized_member_is_refused_before_it_is_read(tmp_path: Path) -> None:
    member = _member("train/cat/9.png")
    member.size = tree.MAX_FILE_BYTES + 1
    path = tmp_path / "images.tar"
    path.write_bytes(member.tobuf() + bytes(1024))
    assert "train/cat/9.png has more than 50 MB" in _refused(path)


def test_an_oversized_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_FILE_BYTES", 200)
    files = FILES | {"train/cat/big.png": image_bytes(pictures((64, 64, 3)))}
    assert "big.png" in _refused(write_folder(tmp_path / "images", files))


@pytest.mark.parametrize("limit", [100, 800])  # the files of the archive, then the images decoded from them
def test_more_images_than_memory_may_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    files = {name: image_bytes(np.zeros((6, 5, 3), dtype=np.uint8)) for name in FILES}
    monkeypatch.setattr(image_folder, "MAX_TOTAL_BYTES", limit)
    assert "GiB" in _refused(write_tar(tmp_path / "images.tar", files))


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    png = bytearray(image_bytes(pictures((6, 5, 3))))
    png[16:24] = struct.pack(">II", 20_000, 20_000)  # width and height; the checksum of their chunk follows
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    files = FILES | {"train/cat/bomb.png": bytes(png)}
    assert "train/cat/bomb.png: an image of far too many pixels" in _refused(write_folder(tmp_path, files))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"no archive",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1024],  # the end mark is gone
        lambda content: gzip.compress(content)[:-5],
        lambda content: gzip.compress(content)[:-9] + b"\0" * 9,  # another checksum
        lambda content: gzip.compress(content[: len(content) // 2]),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    whole = write_tar(tmp_path / "whole.tar", FILES).read_bytes().rstrip(b"\0")
    path = tmp_path / "images.tar"
    path.write_bytes(damage(whole + bytes(1024 + -len(whole) % 512)))
    refusal = _refused(path)
    assert "archive" in refusal


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "does not exist" in _refused(tmp_path / "nothing")
    with pytest.raises(UserError, match="does not exist"):
        describe_image_folder(tmp_path / "nothing")


def test_a_pipe_and_a_broken_link_are_not_waited_for(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "images", FILES)
    os.mkfifo(root / "train" / "cat" / "pipe.png")
    assert "pipe.png: not a file" in _refused(root)
    (root / "train" / "cat" / "pipe.png").unlink()
    (root / "train" / "cat" / "link.png").symlink_to(tmp_path / "gone.png")
    assert "link.png: not a file" in _refused(root)


def test_linked_class_folders_on_disk_are_followed(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "images", FILES)
    (root / "train" / "dog").symlink_to(root / "train" / "cat")
    assert read_image_folder(root).classes == ("ant", "cat", "dog")


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_facts_are_known_before_images_are_decoded(tmp_path: Path, form: str) -> None:
    png = FILES["train/cat/002.png"]
    damaged_later = FILES | {"train/cat/002.png": png[:-30]}
    facts = describe_image_folder(_write(tmp_path, form, damaged_later))
    assert facts == DatasetFacts(input_shape=(3, 6, 5), class_count=2)


def test_facts_of_gray_pictures_have_one_channel(tmp_path: Path) -> None:
    gray = image_set({"a": 2, "b": 2}, {"a": 1, "b": 1}, size=(4, 4))
    assert describe_image_folder(write_folder(tmp_path, gray)).input_shape == (1, 4, 4)
    gray["train/b/000.png"] = image_bytes(pictures((4, 4, 3)))
    assert describe_image_folder(write_folder(tmp_path, gray)).input_shape == (3, 4, 4)


def test_an_archive_without_images_has_no_facts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no train/CLASS/ folder in it"):
        describe_image_folder(write_tar(tmp_path / "images.tar", {"README": b"x"}))
