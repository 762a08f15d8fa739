"""CIFAR's official files in every form they come in."""

import dataclasses
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from support.dataset_files import Bytes, pictures, write_folder, write_tar

from study.data.sources import cifar
from study.data.sources.cifar import CIFAR10, CIFAR100, Cifar, read_cifar
from study.errors import UserError

BATCH = 20


def _content(dataset: Cifar) -> tuple[dict[str, tuple[Bytes, Bytes]], list[str]]:
    """Images (BATCH, 3072) and labels of every batch, by position, and the class names."""
    batches = {}
    for seed, name in enumerate([*dataset.binary.train, dataset.binary.test]):
        labels = ((np.arange(BATCH) * 7 + seed) % dataset.class_count).astype(np.uint8)
        batches[name] = (pictures((BATCH, 3072), seed), labels)
    return batches, [f"class_{label}" for label in range(dataset.class_count)]


def _binary_files(dataset: Cifar) -> dict[str, bytes]:
    batches, names = _content(dataset)
    coarse = [np.full(BATCH, 99, dtype=np.uint8)] if dataset is CIFAR100 else []
    files = {name: np.column_stack([*coarse, labels, images]).tobytes() for name, (images, labels) in batches.items()}
    files[dataset.binary.names] = ("\n".join(names) + "\n\n").encode()
    return {f"{dataset.binary.folder}/{name}": content for name, content in files.items()}


def _python_files(dataset: Cifar) -> dict[str, bytes]:
    batches, names = _content(dataset)
    files = {}
    for ours, theirs in zip(batches, [*dataset.python.train, dataset.python.test], strict=True):
        images, labels = batches[ours]
        content = {"data": images, dataset.label_key: labels.tolist(), "filenames": ["x.png"] * BATCH}
        files[f"{dataset.python.folder}/{theirs}"] = pickle.dumps(content, 2)
    files[f"{dataset.python.folder}/{dataset.python.names}"] = pickle.dumps({dataset.names_key: names}, 2)
    return files


@pytest.mark.parametrize("dataset", [CIFAR10, CIFAR100])
@pytest.mark.parametrize("version", ["binary", "python"])
@pytest.mark.parametrize("archived", [False, True])
def test_both_versions_give_the_same_images(tmp_path: Path, dataset: Cifar, version: str, archived: bool) -> None:
    files = _binary_files(dataset) if version == "binary" else _python_files(dataset)
    if archived:
        write_tar(tmp_path / (dataset.binary if version == "binary" else dataset.python).archive, files)
    else:
        write_folder(tmp_path, files)
    raw = read_cifar(dataset, tmp_path)
    *train, test = _content(dataset)[0].values()
    assert np.array_equal(raw.training.images.reshape(-1, 3072), np.concatenate([images for images, _ in train]))
    assert np.array_equal(raw.training.labels, np.concatenate([labels for _, labels in train]))
    assert np.array_equal(raw.test.images.reshape(-1, 3072), test[0])
    assert np.array_equal(raw.test.labels, test[1])
    assert raw.test.images.shape == (BATCH, 3, 32, 32)
    assert raw.classes[:2] == ("class_0", "class_1")


@pytest.mark.parametrize("dataset", [CIFAR10, CIFAR100])
def test_our_reader_agrees_with_torchvision(tmp_path: Path, dataset: Cifar, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path, _python_files(dataset))
    kind = torchvision.datasets.CIFAR10 if dataset is CIFAR10 else torchvision.datasets.CIFAR100
    monkeypatch.setattr(kind, "_check_integrity", lambda _: True)  # it knows the true files only
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    theirs = kind(str(tmp_path), train=True)
    raw = read_cifar(dataset, tmp_path)
    assert np.array_equal(raw.training.images.transpose(0, 2, 3, 1), theirs.data)
    assert raw.training.labels.tolist() == theirs.targets
    assert list(raw.classes) == theirs.classes


def _refused(data_root: Path) -> str:
    with pytest.raises(UserError) as error:
        read_cifar(CIFAR10, data_root)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_3.bin", None, "data_batch_3.bin missing"),
        ("data_batch_3.bin", b"", "data_batch_3.bin has 0 bytes"),
        ("data_batch_3.bin", bytes(3073 * 2 - 1), "data_batch_3.bin has 6145 bytes, which is not a multiple of 3073"),
        ("test_batch.bin", b"\x0a" + bytes(3072), "labels from 10 to 10"),
        ("batches.meta.txt", b"cat\ndog\n", "batches.meta.txt has 2 class names, not 10"),
    ],
)
def test_a_wrong_binary_file_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    write_folder(tmp_path, _binary_files(CIFAR10))
    path = tmp_path / CIFAR10.binary.folder / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert message in _refused(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_2", b"no pickle", "data_batch_2 is refused: a damaged pickle"),
        ("data_batch_2", pickle.dumps([1], 2), "data_batch_2 has no dictionary"),
        ("data_batch_2", pickle.dumps({"labels": [1]}, 2), "data_batch_2 has no images"),
        ("data_batch_2", pickle.dumps({"data": pictures((2, 3072)), "labels": [1]}, 2), "has no labels for its 2"),
        ("test_batch", pickle.dumps({"data": pictures((1, 3072)), "labels": [-1]}, 2), "labels from -1 to -1"),
        ("batches.meta", pickle.dumps({}, 2), "batches.meta has no label_names"),
    ],
)
def test_a_wrong_python_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    write_folder(tmp_path, _python_files(CIFAR10))
    (tmp_path / CIFAR10.python.folder / name).write_bytes(content)
    assert message in _refused(tmp_path)


class _Attack:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.trace),)


def test_a_malicious_batch_is_refused_unexecuted(tmp_path: Path) -> None:
    write_folder(tmp_path, _python_files(CIFAR10))
    (tmp_path / CIFAR10.python.folder / "data_batch_1").write_bytes(pickle.dumps(_Attack(tmp_path / "trace"), 2))
    assert "data_batch_1 is refused: it asks for 'posix.mkdir'" in _refused(tmp_path)
    assert not (tmp_path / "trace").exists()


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / CIFAR10.binary.archive, _binary_files(CIFAR10))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "not a complete tar archive" in _refused(tmp_path)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd"])
def test_an_archive_with_an_unsafe_member_is_refused(tmp_path: Path, name: str) -> None:
    write_tar(tmp_path / CIFAR10.binary.archive, _binary_files(CIFAR10), [tarfile.TarInfo(name)])
    assert "points outside the archive" in _refused(tmp_path)


def test_oversized_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that unpacks to more than the official one is refused."""
    monkeypatch.setattr(cifar, "MAX_TOTAL_BYTES", 20_000)
    write_tar(tmp_path / CIFAR10.binary.archive, _binary_files(CIFAR10))
    assert "unpacks to more than" in _refused(tmp_path)


def test_class_names_must_be_text(tmp_path: Path) -> None:
    laughs: list[object] = ["ha"]
    for _ in range(60):
        laughs = [laughs, laughs]  # its text would have 2^60 words
    write_folder(tmp_path, _python_files(CIFAR10))
    content = pickle.dumps({"label_names": [laughs, *"bcdefghij"]}, 2)
    (tmp_path / CIFAR10.python.folder / "batches.meta").write_bytes(content)
    assert "has names that are not text" in _refused(tmp_path)


def test_a_file_larger_than_any_official_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path, _binary_files(CIFAR10))
    monkeypatch.setattr(cifar, "MAX_FILE_BYTES", 1000)
    assert "more than any official file" in _refused(tmp_path)


def test_what_cannot_be_downloaded_is_asked_for(tmp_path: Path) -> None:
    nowhere = dataclasses.replace(CIFAR10, url=(tmp_path / "nowhere").as_uri())
    with pytest.raises(UserError, match=r"put cifar-10-binary\.tar\.gz or cifar-10-python\.tar\.gz in that folder"):
        read_cifar(nowhere, tmp_path)
    assert list(tmp_path.iterdir()) == []
