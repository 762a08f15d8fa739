"""What a file is, by its first bytes.

Works on files from outside, for messages about a file that is not what its name says.
"""

from pathlib import Path

_SIGNATURES = (
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x1f\x8b", "gzip data"),
    (0, b"BZh", "bzip2 data"),
    (0, b"\xfd7zXZ\0", "xz data"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard data"),
    (257, b"ustar", "a tar archive"),
    (0, b"MATLAB 7.3 MAT-file", "an HDF5 file of MATLAB; save it with -v7"),
    (0, b"MATLAB 5.0 MAT-file", "a MATLAB file"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"\x93NUMPY", "a NumPy array (.npy)"),
    (0, b"\0\0\x08\x01", "an IDX file"),
    (0, b"\0\0\x08\x03", "an IDX file"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself"),
    (0, b"\x80\x02", "a pickle"),
    (0, b"\x80\x03", "a pickle"),
    (0, b"\x80\x04", "a pickle"),
    (0, b"\x80\x05", "a pickle"),
)
_WEB = (b"<!doctype html", b"<html")


def kind_of(path: Path) -> str | None:
    """What a file is, as `a zip archive`; None if that is not known.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "an empty file"
    if start.lstrip()[:14].lower().startswith(_WEB):
        return "a web page"
    return next((kind for at, signature, kind in _SIGNATURES if start[at:].startswith(signature)), None)
