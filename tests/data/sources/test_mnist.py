"""MNIST's own files: read exactly, refused when damaged, fetched all or none."""

import functools
import gzip
import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from support.dataset_files import MNIST_NAMES, Bytes, idx_bytes, pictures, write_mnist

from study.data.files import download
from study.data.files.idx import read_idx
from study.data.sources.mnist import MNIST
from study.errors import UserError


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"{(tmp_path / 'no-mirror').as_uri()}/"])


@pytest.mark.parametrize("zipped", [False, True])
def test_the_four_files_are_read_as_they_are(tmp_path: Path, zipped: bool) -> None:
    written = write_mnist(tmp_path, zipped=zipped)
    raw = MNIST.read(tmp_path)
    assert np.array_equal(raw.training.images[:, 0], written[MNIST_NAMES[0]])
    assert np.array_equal(raw.training.labels, written[MNIST_NAMES[1]])
    assert np.array_equal(raw.test.images[:, 0], written[MNIST_NAMES[2]])
    assert np.array_equal(raw.test.labels, written[MNIST_NAMES[3]])
    assert raw.training.images.dtype == np.uint8
    assert raw.training.labels.dtype == np.int64
    assert raw.max_value == 255
    assert raw.classes == tuple("0123456789")


def test_our_reader_agrees_with_torchvision(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    theirs = torchvision.datasets.MNIST(str(tmp_path), train=True)
    raw = MNIST.read(tmp_path)
    assert np.array_equal(raw.training.images[:, 0], theirs.data.numpy())
    assert np.array_equal(raw.training.labels, theirs.targets.numpy())


_GOOD = idx_bytes(pictures((3, 28, 28)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated: 0 bytes, less than its header"),
        (_GOOD[:10], "truncated: 10 bytes"),
        (_GOOD[:-1], "truncated: it ends before the 3 items"),
        (_GOOD + b"\0", "it has bytes after the 3 items"),
        (b"\x89PNG" + _GOOD[4:], r"magic number is 0x89504e47, not 0x00000803"),
        (b"PK\3\4" + _GOOD[4:], r"magic number is 0x504b0304, not 0x00000803"),
        (idx_bytes(pictures((3, 28))), "not an IDX file of 3 dimensions"),
        (idx_bytes(pictures((3, 28, 27))), "its items are 28×27, not 28×28"),
        (_GOOD[:4] + b"\xff\xff\xff\xff" + _GOOD[8:], "names 4294967295 items"),
        (_GOOD[:4] + b"\0\0\0\0" + _GOOD[8:], "names 0 items"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes, message: str, zipped: bool) -> None:
    path = tmp_path / ("images.gz" if zipped else "images")
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(UserError, match=message) as error:
        read_idx(path, (28, 28))
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [gzip.compress(_GOOD)[:-300], b"not gzip at all, but long enough"])
def test_a_damaged_gzip_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"images\.gz: cannot be read"):
        read_idx(path, (28, 28))


def test_labels_that_are_too_few_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    labels = tmp_path / "MNIST" / "raw" / MNIST_NAMES[1]
    labels.write_bytes(idx_bytes(np.zeros(39, dtype=np.uint8)))
    with pytest.raises(UserError, match="39 labels for the 40 images"):
        MNIST.read(tmp_path)


def test_a_label_above_9_is_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    labels = tmp_path / "MNIST" / "raw" / MNIST_NAMES[3]
    labels.write_bytes(idx_bytes(np.full(20, 10, dtype=np.uint8)))
    with pytest.raises(UserError, match="has the label 10"):
        MNIST.read(tmp_path)


@pytest.mark.usefixtures("no_network")
def test_what_cannot_be_downloaded_is_asked_for(tmp_path: Path) -> None:
    data_root = tmp_path / "data"
    with pytest.raises(UserError) as error:
        MNIST.read(data_root)
    message = str(error.value)
    assert "\n" not in message
    assert str(data_root / "MNIST" / "raw") in message
    assert all(name in message for name in MNIST_NAMES)
    assert list(data_root.iterdir()) == []


@pytest.mark.usefixtures("no_network")
def test_only_the_missing_file_is_asked_for(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    (tmp_path / "MNIST" / "raw" / MNIST_NAMES[2]).unlink()
    with pytest.raises(UserError) as error:
        MNIST.read(tmp_path)
    assert MNIST_NAMES[2] in str(error.value)
    assert MNIST_NAMES[0] not in str(error.value)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Bytes]]:
    """A server of this test's own with four small files, which torchvision's table points at."""
    written = write_mnist(tmp_path / "mirror", zipped=True)
    folder = tmp_path / "mirror" / "MNIST" / "raw"
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        resources = [
            (f"{name}.gz", hashlib.md5((folder / f"{name}.gz").read_bytes()).hexdigest()) for name in MNIST_NAMES
        ]
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
        yield written
        server.shutdown()
        thread.join()


def test_missing_files_are_fetched_in_silence(
    tmp_path: Path, mirror: dict[str, Bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    raw = MNIST.read(tmp_path / "data")
    assert np.array_equal(raw.training.images[:, 0], mirror[MNIST_NAMES[0]])
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["MNIST"]
    assert capfd.readouterr() == ("", "")
    assert socket.getdefaulttimeout() is None


@pytest.mark.usefixtures("mirror")
def test_a_wrong_checksum_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    *right, (name, _) = torchvision.datasets.MNIST.resources
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", [*right, (name, "0" * 32)])
    with pytest.raises(UserError, match=r"could not be downloaded \(.*t10k-labels-idx1-ubyte\.gz: .*corrupted"):
        MNIST.read(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.1)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [url])
        with pytest.raises(UserError, match="timed out"):
            MNIST.read(tmp_path / "data")


def test_a_plain_file_that_differs_from_its_gz_is_refused(tmp_path: Path) -> None:
    """torchvision leaves both files. A plain file of another version would be read without a word."""
    arrays = write_mnist(tmp_path)
    folder = tmp_path / "MNIST" / "raw"
    for name, array in arrays.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
    assert len(MNIST.read(tmp_path).training) == 40
    stale = folder / "t10k-labels-idx1-ubyte.gz"
    stale.write_bytes(gzip.compress(idx_bytes((arrays["t10k-labels-idx1-ubyte"] + 1) % 10)))
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte and t10k-labels-idx1-ubyte\.gz have different"):
        MNIST.read(tmp_path)
