"""Images that are equal: within the training images, and between training and test images.

Works on arrays. Knows nothing of files.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from study.data.dataset import Pixels
from study.errors import UserError


def check_repeats(source: str, images: Iterable[Pixels], names: Sequence[str], training: int) -> list[str]:
    """Check that a data set does not consist of one image, and count test images that are training images.

    Args:
        source: the data set's name in messages.
        images: each (C, H, W), the training images first.
        names: the name of every image.
        training: the number of training images.

    Returns:
        notes, one line each.

    Raises:
        UserError: more than half of the training images are equal.
    """
    digests = [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images]
    commonest, count = Counter(digests[:training]).most_common(1)[0]
    if count > 1 and 2 * count > training:
        first, second = _two(digests, names, commonest)
        raise UserError(
            f"{source}: {count} of {training} training images are equal, for instance {first} and {second}; a network "
            "cannot learn from them"
        )
    first_of = {digest: at for at, digest in reversed(list(enumerate(digests[:training])))}
    shared = [(at, first_of[digest]) for at, digest in enumerate(digests[training:], training) if digest in first_of]
    if not shared:
        return []
    test, train = shared[0]
    return [
        f"{source}: {len(shared)} of {len(names) - training} test images are training images too, for instance "
        f"{names[test]} and {names[train]}"
    ]


def _two(digests: Sequence[bytes], names: Sequence[str], digest: bytes) -> tuple[str, str]:
    first, second, *_ = (name for each, name in zip(digests, names, strict=True) if each == digest)
    return first, second
