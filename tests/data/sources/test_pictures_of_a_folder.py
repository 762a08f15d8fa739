"""What is seen in the pictures of a folder: transparency, orientation, depth, kinds of files, repeated images."""

import io
import itertools
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.dataset_files import image_bytes, image_set, pictures, write_folder, write_tar

from study.data.files.decoding import Rendering
from study.data.sources.image_folder import describe_image_folder, read_image_folder
from study.errors import UserError

FILES = image_set(train={"cat": 3, "ant": 4}, test={"cat": 1, "ant": 2})


def _refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_image_folder(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def _encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _with(tmp_path: Path, content: bytes, name: str = "000.png", files: dict[str, bytes] | None = None) -> Path:
    """A folder in which the first training image of the class `ant` is this file."""
    others = {key: value for key, value in (files or FILES).items() if key != "train/ant/000.png"}
    return write_folder(tmp_path / "images", {**others, f"train/ant/{name}": content})


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_show_the_background(tmp_path: Path, mode: str) -> None:
    """A black icon on a transparent ground is not a black image."""
    icon = Image.new("LA", (5, 6), (0, 0))
    icon.putpixel((2, 3), (0, 255))
    path = _with(tmp_path, _encoded(icon.convert("RGBA") if mode == "P" else icon.convert(mode), "PNG"))
    if mode == "P":
        path = _with(tmp_path, _encoded(icon.convert("RGBA").quantize(4), "PNG"))
    raw = read_image_folder(path)
    image = raw.training.images[0]
    assert image.shape == (3, 6, 5)
    assert image[:, 0, 0].tolist() == [255, 255, 255]
    assert image[:, 3, 2].tolist() == [0, 0, 0]
    assert raw.notes == (f"{path}: 1 images have transparent pixels, which are drawn on #ffffff (data.background)",)
    assert read_image_folder(path, Rendering((10, 20, 30))).training.images[0][:, 0, 0].tolist() == [10, 20, 30]


def test_half_transparent_pixels_are_mixed_with_the_background(tmp_path: Path) -> None:
    path = _with(tmp_path, _encoded(Image.new("RGBA", (5, 6), (0, 100, 200, 51))))  # a fifth
    assert read_image_folder(path).training.images[0][:, 0, 0].tolist() == [204, 224, 244]


def test_an_opaque_alpha_channel_changes_nothing(tmp_path: Path) -> None:
    plain = Image.open(io.BytesIO(FILES["train/ant/000.png"]))
    raw = read_image_folder(_with(tmp_path, _encoded(plain.convert("RGBA"))))
    assert np.array_equal(raw.training.images[0], np.asarray(plain).transpose(2, 0, 1))
    assert raw.notes == ()


def test_gray_images_with_alpha_stay_gray_on_a_gray_background(tmp_path: Path) -> None:
    gray = image_set({"a": 2, "ant": 2}, {"a": 1}, size=(6, 5))
    path = _with(tmp_path, _encoded(Image.new("LA", (5, 6), (0, 0))), files=gray)
    assert read_image_folder(path).training.images.shape == (4, 1, 6, 5)
    assert read_image_folder(path, Rendering((255, 0, 0))).training.images.shape == (4, 3, 6, 5)
    assert describe_image_folder(path, Rendering((255, 0, 0))).input_shape == (3, 6, 5)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_images_are_turned_by_their_exif_orientation(tmp_path: Path, orientation: int, kind: str) -> None:
    upright = Image.fromarray(np.kron(pictures((6, 5, 3), 5), np.ones((8, 8, 1), np.uint8)))
    turn = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90"}
    turn |= {7: "TRANSVERSE", 8: "ROTATE_270"}  # how a camera stores what stands upright
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose[turn[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    options |= {"lossless": True} if kind == "WEBP" else {}
    content = _encoded(stored, kind, exif=exif, **options)
    files = {f"{part}/a/0.{kind.lower()}": content for part in ("train", "test")}
    files["train/b/0.png"] = _encoded(Image.fromarray(pictures((48, 40, 3), 8)))
    files["train/c/0.png"] = _encoded(Image.fromarray(pictures((48, 40, 3), 6)))
    files["train/d/0.png"] = _encoded(Image.fromarray(pictures((48, 40, 3), 7)))
    path = write_folder(tmp_path / "images", files)
    assert describe_image_folder(path).input_shape == (3, 48, 40)
    found = read_image_folder(path).training.images[0].transpose(1, 2, 0).astype(int)
    assert np.abs(found - np.asarray(upright).astype(int)).max() <= (8 if kind == "JPEG" else 0)


def _png_of_16_bits() -> bytes:
    rows = b"".join(b"\0" + bytes(5 * 3 * 2) for _ in range(6))

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 5, 6, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("000.png", _png_of_16_bits()),
        ("000.ppm", b"P6 # 16 bits\n5 6\n65535\n" + bytes(5 * 6 * 3 * 2)),
        ("000.pgm", b"P5\n5 6\n65535\n" + bytes(5 * 6 * 2)),
    ],
)
def test_more_than_8_bits_are_refused_in_colour_and_in_gray(tmp_path: Path, name: str, content: bytes) -> None:
    refusal = _refused(_with(tmp_path, content, name))
    assert f"train/ant/{name}: more than 8 bits a channel" in refusal


@pytest.mark.parametrize("extension", ["jfif", "jpe", "avif", "ico", "tga", "jp2"])
def test_pictures_of_other_extensions_are_read(tmp_path: Path, extension: str) -> None:
    kind = {"jfif": "JPEG", "jpe": "JPEG", "jp2": "JPEG2000"}.get(extension, extension.upper())
    size = (16, 16, 3)
    files = {
        f"{part}/{name}/{index}.{extension}": _encoded(Image.fromarray(pictures(size, 9 * index + ord(name))), kind)
        for part, name, index in itertools.product(("train", "test"), "ab", range(2))
        if not (part == "test" and index)
    }
    raw = read_image_folder(write_folder(tmp_path / "images", files))
    assert raw.training.images.shape == (4, 3, 16, 16)


def test_a_decoder_runs_only_for_its_own_extension(tmp_path: Path) -> None:
    content = _encoded(Image.fromarray(pictures((6, 5, 3))), "TGA")
    assert "train/ant/000.png: not an image" in _refused(_with(tmp_path, content))


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_what_is_not_read_is_counted_by_kind(tmp_path: Path, form: str) -> None:
    others = {"train/cat/1.heic": b"x", "train/cat/2.heic": b"x", "train/.dog/1.png": b"x"}
    others |= {"docs/cat/1.png": b"x", "README.md": b"x"}
    where = tmp_path / f"images.{form}"
    path = write_tar(where, FILES | others) if form == "tar" else write_folder(where, FILES | others)
    kinds = "2 .heic files, 1 files in hidden folders"
    assert read_image_folder(path).notes == (f"{path}: not read: {kinds}",)


def test_test_images_that_are_training_images_are_counted(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "images", FILES | {"test/ant/9.png": FILES["train/cat/001.png"]})
    (note,) = read_image_folder(path).notes
    assert note == (
        f"{path}: 1 of 4 test images are training images too, for instance test/ant/9.png and train/cat/001.png"
    )


def test_training_images_that_are_mostly_equal_are_refused(tmp_path: Path) -> None:
    same = {
        f"train/{name}/same{index}.png": FILES["train/cat/000.png"] for name in ("cat", "ant") for index in range(4)
    }
    refusal = _refused(write_folder(tmp_path / "images", FILES | same))
    assert "9 of 15 training images are equal, for instance train/ant/same0.png and train/ant/same1.png" in refusal


def test_a_class_name_that_is_not_utf_8_is_readable(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "images", {name: content for name, content in FILES.items() if "cat" not in name})
    for part in ("train", "test"):
        folder = os.fsencode(path / part) + b"/caf\xe9"
        os.mkdir(folder)
        with open(folder + b"/0.png", "wb") as file:
            file.write(image_bytes(pictures((6, 5, 3), ord(part[0]))))
    classes = read_image_folder(path).classes
    assert classes == ("ant", "caf\\xe9")
    assert "".join(classes).encode("utf-8")


def test_libtiff_writes_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = _encoded(Image.fromarray(pictures((6, 5, 3))), "TIFF", compression="tiff_adobe_deflate")
    at = whole.find(b"\x78")  # the first byte of the compressed pixels
    damaged = whole[: at + 4] + bytes(8) + whole[at + 12 :]
    assert "train/ant/000.tif: a truncated or damaged image" in _refused(_with(tmp_path, damaged, "000.tif"))
    assert capfd.readouterr() == ("", "")
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"
