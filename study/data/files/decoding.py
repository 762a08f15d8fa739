"""Decodes many pictures into one array: of one size, and of one channel if all of them are grey.

Works on the bytes of the files, in any order. Every picture is decoded into its own row, so the array is the only copy.
Knows nothing of classes, folders and archives.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from study.data.files.pictures import Colour, Size, open_picture, pillow_warnings, pixels_of
from study.errors import UserError

WHITE: Colour = (255, 255, 255)

Contents = Iterable[tuple[int, bytes]]
"""The number of a picture and its file, for every picture once, in any order."""


@dataclass(frozen=True)
class Rendering:
    """How pictures become pixels.

    Attributes:
        background: the colour behind transparent pixels.
        size: (height, width) to which pictures are resized and cropped; None: all must have one size.
        most_bytes: the most bytes that the array may have.
    """

    background: Colour = WHITE
    size: Size | None = None
    most_bytes: int = 2**63


@dataclass(frozen=True)
class Decoded:
    """All pictures, and what was done to some of them.

    Attributes:
        images: (N, 1 or 3, H, W), uint8.
        transparent: how many had transparent pixels.
        turned: how many were turned by their EXIF orientation.
        resized: how many had another size than the given one.
        enlarged: how many of these were smaller.
    """

    images: npt.NDArray[np.uint8]
    transparent: int
    turned: int
    resized: int
    enlarged: int

    def notes(self, source: str, rendering: Rendering) -> list[str]:
        """What was done to pictures, one line each."""
        notes = []
        if self.transparent:
            notes.append(
                f"{source}: {self.transparent} images have transparent pixels, which are drawn on "
                f"#{bytes(rendering.background).hex()} (data.background)"
            )
        if self.turned:
            notes.append(f"{source}: {self.turned} images were turned by their EXIF orientation")
        if self.resized:
            height, width = self.images.shape[2:]
            notes.append(resizing_note(source, self.resized, len(self.images), self.enlarged, (height, width)))
        return notes


def resizing_note(source: str, resized: int, images: int, enlarged: int, size: Size) -> str:
    """How many images were resized to a size, and how many of these were enlarged."""
    more = f", {enlarged} of them enlarged" if enlarged else ""
    return f"{source}: {resized} of {images} images were resized and cropped to {_shown(size)} pixels (data.size){more}"


def decode_all(source: str, names: Sequence[str], contents: Contents, rendering: Rendering) -> Decoded:
    """Decode all pictures.

    Args:
        source: the data set's name in messages.
        names: the name of every picture.
        contents: their files.
        rendering: how they become pixels.

    Raises:
        UserError: a picture is damaged, the pictures have several sizes and no size is given, or they need too much
            memory.
    """
    canvas: _Canvas | None = None
    sizes = _Sizes(source, names)
    transparent = turned = resized = enlarged = 0
    with pillow_warnings():
        for at, content in contents:
            picture = open_picture(f"{source}: {names[at]}", content, rendering.background)
            with picture.image:
                sizes.add(at, picture.size)
                if rendering.size is None and sizes.differ:
                    continue  # the sizes of the others are counted
                if canvas is None:
                    canvas = _Canvas(source, len(names), rendering.size or picture.size, rendering.most_bytes)
                if not picture.is_gray:
                    canvas.become_rgb()
                pixels, is_transparent = pixels_of(picture, canvas.channels, rendering.background, rendering.size)
            canvas.images[at] = pixels
            transparent += is_transparent
            turned += picture.is_turned
            if rendering.size is not None:
                resized += picture.size != rendering.size
                enlarged += picture.size[0] < rendering.size[0] or picture.size[1] < rendering.size[1]
    if rendering.size is None:
        sizes.check()
    assert canvas is not None  # the caller has pictures
    return Decoded(canvas.images, transparent, turned, resized, enlarged)


def shape_of_all(source: str, names: Sequence[str], contents: Contents, rendering: Rendering) -> tuple[int, int, int]:
    """(channels, height, width) of the pictures. Each is opened; few formats need to be decoded for that.

    Raises:
        UserError: a picture is damaged, or the pictures have several sizes and no size is given.
    """
    sizes = _Sizes(source, names)
    channels = 1
    with pillow_warnings():
        for at, content in contents:
            picture = open_picture(f"{source}: {names[at]}", content, rendering.background)
            with picture.image:
                sizes.add(at, picture.size)
                if not picture.is_gray:
                    channels = 3
    height, width = rendering.size or sizes.check()
    return channels, height, width


class _Canvas:
    """The array of all pictures. It has one channel until a picture needs three.

    The memory for three channels is reserved from the start. The operating system gives it only when it is written to.
    So no second array is needed when grey pictures become RGB.
    """

    def __init__(self, source: str, count: int, size: Size, most_bytes: int) -> None:
        self._source, self._count, self._size, self._most_bytes = source, count, size, most_bytes
        self.channels = 1
        self._check()
        self._reserved = np.empty(3 * count * size[0] * size[1], dtype=np.uint8)
        self.images = self._view(1)

    def become_rgb(self) -> None:
        """Give all pictures three channels. The pixels of the grey ones are repeated."""
        if self.channels == 3:
            return
        gray, self.channels = self.images, 3
        self._check()
        self.images = self._view(3)
        for at in reversed(range(self._count)):  # a grey row is never behind the rows that were written
            self.images[at] = gray[at].copy()

    def _view(self, channels: int) -> npt.NDArray[np.uint8]:
        height, width = self._size
        return self._reserved[: channels * self._count * height * width].reshape(self._count, channels, height, width)

    def _check(self) -> None:
        height, width = self._size
        if self.channels * self._count * height * width > self._most_bytes:
            raise UserError(
                f"{self._source}: {width}×{height} pixels times {self._count} images take more than "
                f"{self._most_bytes / 2**30:.0f} GiB; make them smaller with data.size"
            )


class _Sizes:
    """Counts the sizes of pictures."""

    def __init__(self, source: str, names: Sequence[str]) -> None:
        self._source, self._names = source, names
        self._counts: Counter[Size] = Counter()
        self._first: dict[Size, int] = {}

    def add(self, at: int, size: Size) -> None:
        self._counts[size] += 1
        self._first[size] = min(at, self._first.get(size, at))

    @property
    def differ(self) -> bool:
        return len(self._counts) > 1

    def check(self) -> Size:
        """The size that all pictures have.

        Raises:
            UserError: they have several. All that do not have the commonest size are counted.
        """
        # Of sizes that are equally common, that of the first picture counts as the commonest.
        size, *others = sorted(self._counts, key=lambda each: (-self._counts[each], self._first[each]))
        if others:
            several = [f"{self._counts[other]} of {_shown(other)}" for other in others[:3]]
            if len(others) > 3:
                several.append(f"{sum(self._counts[other] for other in others[3:])} of other sizes")
            total = sum(self._counts.values())
            raise UserError(
                f"{self._source}: {total - self._counts[size]} of {total} images are not {_shown(size)} pixels like "
                f"the others: {', '.join(several)}, for instance {self._names[self._first[others[0]]]}; give data.size "
                "to resize and crop all of them"
            )
        return size


def _shown(size: Size) -> str:
    return f"{size[1]}×{size[0]}"
