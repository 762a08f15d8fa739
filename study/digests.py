"""Files that contain the SHA-256 of their own content: checkpoints, weights, logits and results.

Works on bytes. Knows nothing of what is in a file. Where the digest is in a file depends on the format: in a field of
JSON, in the metadata of safetensors, or before everything else. The digest is computed while its own 64 digits are
zeros. So every bit of the file counts, and the file stays one that other programs read.
"""

import hashlib
import re
from pathlib import Path

_LABEL = b"sha256:"
_SEARCHED_BYTES = 256
"""A digest lies at the beginning of a file; behind it, the same words are content."""

PLACEHOLDER = _LABEL.decode() + "0" * 64
"""What a writer puts in the place of the digest. `with_digest` fills it in."""

_DIGEST = re.compile(_LABEL + rb"([0-9a-f]{64})")


CHANGED = "its content has changed since it was written"


class Damaged(ValueError):
    """A file is not as it was written."""

    def __init__(self, reason: str = CHANGED) -> None:
        super().__init__(reason)


def with_digest(content: bytes) -> bytes:
    """Put the digest into a content that has the `PLACEHOLDER` in its first 256 bytes."""
    start = content.index(PLACEHOLDER.encode(), 0, _SEARCHED_BYTES)
    return content[:start] + label(hashlib.sha256(content)) + content[start + len(PLACEHOLDER) :]


def label(sha: "hashlib._Hash") -> bytes:
    """A digest as it is in a file, as long as `PLACEHOLDER`."""
    return _LABEL + sha.hexdigest().encode()


def check_digest(content: bytes) -> bool:
    """Compare a content with the digest in it.

    Returns:
        whether it has a digest. Files of earlier versions and of other programs have none.

    Raises:
        Damaged: the two do not fit.
    """
    found = _DIGEST.search(content, 0, _SEARCHED_BYTES)
    if found is None:
        if _LABEL in content[:_SEARCHED_BYTES]:
            raise Damaged
        return False
    view = memoryview(content)  # a slice of it is no copy
    sha = hashlib.sha256(view[: found.start()])
    sha.update(PLACEHOLDER.encode())
    sha.update(view[found.end() :])
    if sha.hexdigest().encode() != found.group(1):
        raise Damaged
    return True


def read_checked(file: Path) -> bytes:
    """The content of a file, compared with its digest if it has one.

    Raises:
        Damaged: the content does not fit its digest.
        OSError: the file cannot be read.
    """
    content = file.read_bytes()
    check_digest(content)
    return content
