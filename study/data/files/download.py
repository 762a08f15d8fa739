"""Downloads the official files of a data set. Either all of them are written, or none.

Works on URLs, checksums and one folder. Knows nothing of the content of the files.
"""

import contextlib
import io
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

TIMEOUT_SECONDS = 10.0


class DownloadError(Exception):
    """Why the files could not be fetched, in one line."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch: the first of its URLs that delivers the right MD5 is taken."""

    name: str
    urls: tuple[str, ...]
    md5: str


def fetch_files(files: Sequence[RemoteFile], folder: Path, data_root: Path) -> None:
    """Download every file into `folder`, a folder in `data_root`. After a failure no file is left.

    The timeout is ten seconds.

    Raises:
        DownloadError: no URL delivered a file, or a file could not be written.
    """
    try:
        data_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=data_root) as unfinished:
            with _quiet_and_bounded():
                for file in files:
                    _fetch(file, Path(unfinished))
            folder.mkdir(parents=True, exist_ok=True)
            for file in files:
                os.replace(Path(unfinished) / file.name, folder / file.name)
    except OSError as error:
        raise DownloadError(f"{data_root} cannot be written: {error.strerror or error}") from None


def _fetch(file: RemoteFile, folder: Path) -> None:
    from torchvision.datasets.utils import download_url  # takes a second to import, and is rarely needed

    reasons = []
    for url in file.urls:
        try:
            download_url(url, str(folder), file.name, file.md5)
            with (folder / file.name).open("rb") as written:
                os.fsync(written.fileno())
            return
        except (OSError, HTTPException, RuntimeError, ValueError) as error:
            # URLError and time-outs are OSErrors; torchvision raises RuntimeError for a wrong checksum.
            reasons.append(f"{url}: {' '.join(str(error).split()) or type(error).__name__}")
    raise DownloadError("; ".join(reasons))


@contextlib.contextmanager
def _quiet_and_bounded() -> Iterator[None]:
    """Hide torchvision's progress bars, and set a timeout, because torchvision sets none."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(timeout)
