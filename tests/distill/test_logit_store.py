"""Logits on disk: found by what they were made from, whole or not there."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.damage import flipped
from support.full_disk import full_disk

from study.distill.logit_store import LogitStore, file_digest, tensor_digest
from study.errors import UserError


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(30, 4, generator=torch.Generator().manual_seed(0))


def test_digests_change_with_the_content(tmp_path: Path, logits: torch.Tensor) -> None:
    changed = logits.clone()
    changed[3, 1] += 1e-6
    assert tensor_digest(logits) == tensor_digest(logits.clone()) != tensor_digest(changed)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first = file_digest(file)
    file.write_bytes(b"two")
    assert file_digest(file) != first


def test_stored_logits_are_bit_identical(tmp_path: Path, logits: torch.Tensor) -> None:
    store = LogitStore(tmp_path / "logits")
    store.write("key", logits.requires_grad_())
    read = store.read("key", 30)
    assert read is not None
    assert torch.equal(read, logits)
    assert read.dtype == torch.float32
    assert not read.requires_grad


def test_what_was_never_written_reads_as_none(tmp_path: Path) -> None:
    assert LogitStore(tmp_path / "logits").read("key", 30) is None


def test_logits_of_another_number_of_images_read_as_none(tmp_path: Path, logits: torch.Tensor) -> None:
    store = LogitStore(tmp_path)
    store.write("key", logits)
    assert store.read("key", 31) is None


def test_a_truncated_file_reads_as_none(tmp_path: Path, logits: torch.Tensor) -> None:
    store = LogitStore(tmp_path)
    store.write("key", logits)
    content = store.path("key").read_bytes()
    for length in range(len(content)):
        store.path("key").write_bytes(content[:length])
        assert store.read("key", 30) is None


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_logits_with_a_flipped_bit_read_as_none(tmp_path: Path, logits: torch.Tensor, bit: int) -> None:
    store = LogitStore(tmp_path)
    store.write("key", logits)
    content = store.path("key").read_bytes()
    for place in range(0, len(content), 7):
        store.path("key").write_bytes(flipped(content, place, bit))
        read = store.read("key", 30)
        # Where a flip hides that there is a digest, the logits are what they were.
        assert read is None or torch.equal(read, logits)
        assert read is None or place < len(content) - logits.numel() * 4


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_read_as_none(tmp_path: Path, logits: torch.Tensor, value: float) -> None:
    logits[7, 2] = value
    store = LogitStore(tmp_path)
    store.write("key", logits)
    assert store.read("key", 30) is None


def test_logits_of_another_number_of_classes_read_as_none(tmp_path: Path, logits: torch.Tensor) -> None:
    store = LogitStore(tmp_path)
    store.write("key", logits)
    assert store.read("key", 30, classes=4) is not None
    assert store.read("key", 30, classes=5) is None


def test_logits_of_an_earlier_version_are_read(tmp_path: Path, logits: torch.Tensor) -> None:
    store = LogitStore(tmp_path)
    save_file({"logits": logits}, store.path("key"))
    read = store.read("key", 30)
    assert read is not None
    assert torch.equal(read, logits)


def test_other_files_under_its_name_read_as_none(tmp_path: Path) -> None:
    store = LogitStore(tmp_path)
    torch.save(torch.zeros(30, 4), store.path("key"))
    assert store.read("key", 30) is None


def test_a_failed_write_names_the_file_and_leaves_none(tmp_path: Path, logits: torch.Tensor) -> None:
    occupied = tmp_path / "logits"
    occupied.write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"cannot write .*key\.safetensors"):
        LogitStore(occupied).write("key", logits)
    assert [path.name for path in tmp_path.iterdir()] == ["logits"]


def test_a_full_disk_leaves_the_logits_that_were_there(tmp_path: Path, logits: torch.Tensor) -> None:
    store = LogitStore(tmp_path)
    store.write("key", logits[:5])
    with full_disk(), pytest.raises(UserError, match=r"cannot write .*key\.safetensors: File too large"):
        store.write("key", logits.repeat(100, 1))
    read = store.read("key", 5)
    assert read is not None
    assert torch.equal(read, logits[:5])
    assert [path.name for path in tmp_path.iterdir()] == ["key.safetensors"]


class _Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def test_pickle_in_place_of_logits_is_not_executed(tmp_path: Path) -> None:
    """A pickle in the place of logits is neither executed nor read."""
    store, trace = LogitStore(tmp_path), tmp_path / "executed"
    store.path("key").write_bytes(pickle.dumps(_Bomb(trace)))
    assert store.read("key", 30) is None
    torch.save({"logits": _Bomb(trace)}, store.path("key"))
    assert store.read("key", 30) is None
    assert not trace.exists()


@pytest.mark.parametrize(
    "stored", [torch.zeros(30), torch.zeros(30, 4, 1), torch.zeros(29, 4), torch.zeros(30, 4).double(), torch.zeros(())]
)
def test_other_files_are_not_read_as_logits(tmp_path: Path, stored: torch.Tensor) -> None:
    store = LogitStore(tmp_path)
    save_file({"logits": stored}, store.path("key"))
    assert store.read("key", 30) is None
    save_file({"others": torch.zeros(30, 4)}, store.path("key"))
    assert store.read("key", 30) is None
