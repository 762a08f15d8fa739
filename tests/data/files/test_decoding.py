"""Many pictures become one array: of one size, of as many channels as they need, in the memory of one array."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from support.dataset_files import image_bytes, pictures
from torchvision.transforms.v2 import CenterCrop, Compose, Resize

from study.data.files.decoding import Decoded, Rendering, decode_all, shape_of_all
from study.errors import UserError

GRAY, COLOUR = (6, 5), (6, 5, 3)


def _decode(files: Sequence[bytes], rendering: Rendering | None = None, order: Sequence[int] = ()) -> Decoded:
    names = [f"{at}.png" for at in range(len(files))]
    contents = [(at, files[at]) for at in order or range(len(files))]
    decoded = decode_all("here", names, contents, rendering or Rendering())
    assert shape_of_all("here", names, contents, rendering or Rendering()) == decoded.images.shape[1:]
    return decoded


def _opened(content: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).transpose(2, 0, 1)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 0, 2, 1), (2, 3, 1, 0)])
def test_gray_pictures_become_rgb_in_any_order(order: Sequence[int]) -> None:
    files = [image_bytes(pictures(shape, seed)) for seed, shape in enumerate([GRAY, COLOUR, GRAY, COLOUR])]
    images = _decode(files, order=order).images
    assert images.shape == (4, 3, 6, 5)
    assert all(np.array_equal(image, _opened(content)) for image, content in zip(images, files, strict=True))


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (30, 100), (100, 31), (7, 9), (33, 32), (16, 16), (1, 50)])
@pytest.mark.parametrize("side", [16, 33])
def test_resizing_and_cropping_is_that_of_torchvision(shape: tuple[int, int], side: int) -> None:
    content = image_bytes(pictures((*shape, 3)))
    expected = Compose([Resize(side), CenterCrop(side)])(Image.open(io.BytesIO(content)))
    found = _decode([content], Rendering(size=(side, side))).images[0]
    assert np.abs(found.transpose(1, 2, 0).astype(int) - np.asarray(expected).astype(int)).max() <= 1


@pytest.mark.parametrize("size", [(10, 20), (20, 10), (5, 64)])
def test_a_size_may_be_oblong(size: tuple[int, int]) -> None:
    flat = Image.new("RGB", (40, 30), (10, 20, 30))
    assert _decode([image_bytes(np.asarray(flat))], Rendering(size=size)).images[0].shape == (3, *size)


def test_the_centre_is_kept() -> None:
    picture = np.zeros((20, 60, 3), dtype=np.uint8)
    picture[:, 20:40] = 255
    assert _decode([image_bytes(picture)], Rendering(size=(20, 20))).images.min() == 255


def test_resized_pictures_are_counted() -> None:
    files = [image_bytes(pictures(shape)) for shape in [(8, 8), (16, 8), (4, 4)]]
    rendering = Rendering(size=(8, 8))
    assert _decode(files, rendering).notes("here", rendering) == [
        "here: 2 of 3 images were resized and cropped to 8×8 pixels (data.size), 1 of them enlarged"
    ]


def test_all_pictures_of_other_sizes_are_counted_in_one_line() -> None:
    shapes = [(8, 8), (9, 8), (8, 8), (7, 7), (9, 8), (5, 5), (6, 6), (8, 8)]
    files = [image_bytes(pictures(shape)) for shape in shapes]
    message = (
        "here: 5 of 8 images are not 8×8 pixels like the others: 2 of 8×9, 1 of 7×7, 1 of 5×5, 1 of other sizes, "
        "for instance 1.png; give data.size to resize and crop all of them"
    )
    for decode in (decode_all, shape_of_all):
        with pytest.raises(UserError) as refusal:
            decode("here", [f"{at}.png" for at in range(8)], list(enumerate(files)), Rendering())
        assert str(refusal.value) == message


def test_too_many_pictures_for_the_memory_are_refused() -> None:
    files = [image_bytes(pictures(GRAY)), image_bytes(pictures(COLOUR))]
    assert len(_decode(files[:1] * 2, Rendering(most_bytes=60)).images) == 2
    with pytest.raises(UserError, match="5×6 pixels times 2 images take more than"):
        _decode(files, Rendering(most_bytes=60))
