"""Decodes picture files: their format, size, orientation, transparency and depth.

Works on the bytes of one file. Nothing in them is trusted: neither the extension, nor the size, nor the metadata. Knows
nothing of classes and folders.
"""

import contextlib
import io
import logging
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from study.errors import UserError

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""The decoders that may run for every extension."""
FORMAT_OF_EXTENSION = {".avif": "AVIF", ".ico": "ICO", ".jp2": "JPEG2000", ".tga": "TGA"}
"""Decoders that may run only for their own extension, if Pillow has them. Pillow has many more."""
COMMON_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".pbm", ".pgm", ".ppm", ".tif", ".tiff", ".webp"}
)

GRAY_MODES = frozenset({"1", "L", "LA", "La"})
DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})

_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError),
    *(struct.error, zlib.error),
)
"""What Pillow's decoders raise for a damaged file."""

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints what Pillow logs about damaged files

_ORIENTATION, _BITS_PER_SAMPLE = 0x0112, 258
_METADATA = frozenset({"exif", "Raw profile type exif", "Raw profile type APP1", "XML:com.adobe.xmp", "xmp"})
"""Where Pillow finds an orientation. Most pictures have none of these, and parsing none takes as long as decoding."""
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How an image is turned for each value of the EXIF orientation."""

_METADATA_OF_PNG = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
"""The names of the parts of a PNG file that may have an orientation. They may come after the pixels."""

Colour = tuple[int, int, int]
"""Red, green and blue from 0 to 255."""

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An opened picture, upright.

    Attributes:
        where: its name in error messages.
        image: Pillow's image.
        is_gray: whether it has one channel.
        has_transparency: whether the file can have transparent pixels.
        is_turned: whether the EXIF orientation turned it.
    """

    where: str
    image: Image.Image
    is_gray: bool
    has_transparency: bool
    is_turned: bool

    @property
    def size(self) -> Size:
        """(height, width), upright."""
        return self.image.height, self.image.width


def can_be_picture(file_name: str) -> bool:
    """Whether a file is a picture by its extension, and Pillow can read such pictures."""
    extension = os.path.splitext(file_name)[1].lower()
    return extension in COMMON_EXTENSIONS or _own_format(extension) is not None


def open_picture(where: str, content: bytes, background: Colour) -> Picture:
    """Open a picture without decoding all of it, where the format allows that.

    Args:
        where: its name in error messages; its extension permits a decoder of `FORMAT_OF_EXTENSION`.
        content: the file.
        background: the colour behind transparent pixels. If it is not grey, no transparent picture is.

    Raises:
        UserError: it is not a picture, is damaged or too large, or has more than 8 bits a channel.
    """
    own = _own_format(f".{where.rpartition('.')[2].lower()}")
    formats = FORMATS if own is None else (*FORMATS, own)
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        raise UserError(f"{where}: not an image, although its name says so; remove it or replace it") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{where}: an image of far too many pixels; make it smaller") from None
    except _DAMAGE as error:
        raise UserError(f"{where}: a damaged image: {_one_line(error)}") from None
    if image.mode in DEEP_MODES or _is_deep(image, content):
        raise UserError(f"{where}: more than 8 bits a channel (mode {image.mode}); convert it to 8 bits")
    turn = _TRANSPOSED.get(_orientation(image, content))
    if turn is not None:
        try:
            image = image.transpose(turn)
        except _DAMAGE as error:
            raise UserError(f"{where}: a truncated or damaged image: {_one_line(error)}") from None
    has_transparency = image.has_transparency_data
    is_gray = image.mode in GRAY_MODES and (not has_transparency or len(set(background)) == 1)
    return Picture(where, image, is_gray, has_transparency, turn is not None)


def pixels_of(
    picture: Picture, channels: int, background: Colour, size: Size | None = None
) -> tuple[npt.NDArray[np.uint8], bool]:
    """The pixels of a picture, (channels, H, W), and whether some of them were transparent.

    Args:
        picture: an opened picture.
        channels: 1 or 3.
        background: the colour behind transparent pixels.
        size: (H, W) to which it is resized and cropped (`fitted`), or None.

    Raises:
        UserError: it is truncated or damaged.
    """
    mode, image = "L" if channels == 1 else "RGB", picture.image
    try:
        is_transparent = False
        if image.format == "TIFF":
            with _without_lines_of_libtiff():
                image.load()
        else:
            image.load()
        if picture.has_transparency:
            image, is_transparent = _on_background(image, background)
        image = image if image.mode == mode else image.convert(mode)
        array = np.asarray(image if size is None else fitted(image, size))
    except _DAMAGE as error:
        raise UserError(f"{picture.where}: a truncated or damaged image: {_one_line(error)}") from None
    return (array[np.newaxis] if channels == 1 else array.transpose(2, 0, 1)), is_transparent


def fitted(image: Image.Image, size: Size) -> Image.Image:
    """An image resized so that it just covers `size` (height, width), and cropped to its centre.

    The result is that of torchvision's `Resize` (bilinear, with antialiasing) and `CenterCrop`, up to 1 of 255 from
    rounding. Only the pixels that remain are computed, so a very long image takes no more memory.
    """
    if (image.height, image.width) == size:
        return image
    height, width = size
    if width * image.height >= height * image.width:  # the width fits exactly, the height is cropped
        resized = (max(height, width * image.height // image.width), width)
    else:
        resized = (height, max(width, height * image.width // image.height))
    top, left = round((resized[0] - height) / 2), round((resized[1] - width) / 2)
    down, across = image.height / resized[0], image.width / resized[1]
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    inside = (box[0], box[1], min(box[2], image.width), min(box[3], image.height))  # rounding can end just outside
    return image.resize((width, height), Image.Resampling.BILINEAR, box=inside)


@contextlib.contextmanager
def pillow_warnings() -> Iterator[None]:
    """Ignore warnings about metadata; an image that is far too large is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextlib.contextmanager
def _without_lines_of_libtiff() -> Iterator[None]:
    """Keep libtiff's own lines from the terminal. It writes them to the process's standard error, past Python."""
    try:
        terminal = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)


def _on_background(image: Image.Image, background: Colour) -> tuple[Image.Image, bool]:
    """An image over a colour. An opaque image stays the same to the bit."""
    if image.mode == "La":
        image = image.convert("LA")
    layer = image.convert("RGBA")
    lowest = np.asarray(layer.getchannel("A")).min()
    base = Image.new("RGBA", layer.size, (*background, 255))
    base.alpha_composite(layer)
    return base.convert("RGB"), bool(lowest < 255)


def _orientation(image: Image.Image, content: bytes) -> int:
    """The EXIF orientation. Pillow itself turns TIFF files. Damaged metadata does not make a picture damaged."""
    if image.format == "TIFF":
        return 1
    try:
        if image.format == "PNG" and any(name in content for name in _METADATA_OF_PNG):
            image.load()
        return int(image.getexif().get(_ORIENTATION, 1)) if _METADATA & image.info.keys() else 1
    except _DAMAGE:
        return 1


def _is_deep(image: Image.Image, content: bytes) -> bool:
    """Whether a file has more than 8 bits a channel. Pillow cuts colour images to 8 bits without a word."""
    if image.format == "PNG":
        return len(content) > 24 and content[24] > 8
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,))
        return any(each > 8 for each in (bits if isinstance(bits, tuple) else (bits,)))
    if image.format == "PPM":
        header = re.sub(rb"#[^\n\r]*", b"", content[:4096]).split(maxsplit=4)
        return (
            len(header) > 3
            and header[0] in (b"P2", b"P3", b"P5", b"P6")
            and header[3].isdigit()
            and int(header[3]) > 255
        )
    if image.format == "JPEG2000":
        at = content.find(b"ihdr")
        return at >= 0 and len(content) > at + 14 and (content[at + 14] & 0x7F) + 1 > 8
    return False


def _own_format(extension: str) -> str | None:
    name = FORMAT_OF_EXTENSION.get(extension)
    if name is None:
        return None
    Image.init()
    return name if name in Image.OPEN else None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
