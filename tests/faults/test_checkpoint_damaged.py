"""A checkpoint that is not as it was written: the one before it is used, or the trial starts over; it says so."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.disturbed import SMALL, Study, unharmed
from support.undisturbed import Undisturbed

from study.running.trial import checkpoints

pytestmark = pytest.mark.faults
TRIAL, OTHER = "grid-0004", "grid-0001"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, bytes]:
    """A study that was killed in the midst of a trial with two checkpoints; and a checkpoint of another trial."""
    study, foreign = Study(tmp_path_factory.mktemp("killed"), SMALL), b""
    with study.start() as driver:
        newest, _ = checkpoints(study.trials / OTHER)
        driver.until(newest.exists, f"{OTHER} has a checkpoint", every=0.002)
        foreign = newest.read_bytes()
        driver.until(lambda: all(file.exists() for file in checkpoints(study.trials / TRIAL)), f"{TRIAL} has two")
        driver.kill_all()
    assert all(file.exists() for file in checkpoints(study.trials / TRIAL)), "the kill came too late"
    return study, foreign


def _one_bit(content: bytes) -> bytes:
    place = len(content) // 2  # in a tensor: they are nearly all of it
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


DAMAGES: dict[str, Callable[[bytes, bytes], bytes]] = {
    "truncated": lambda content, _: content[: len(content) // 2],
    "one bit flipped": lambda content, _: _one_bit(content),
    "empty": lambda content, _: b"",
    "another trial's": lambda _, foreign: foreign,
}


@pytest.mark.parametrize("damage", [*DAMAGES, "both truncated"])
def test_a_study_with_a_damaged_checkpoint(
    tmp_path: Path, killed: tuple[Study, bytes], undisturbed: Undisturbed, damage: str
) -> None:
    original, foreign = killed
    shutil.copytree(original.folder, tmp_path / "copy")
    study = Study(tmp_path / "copy", SMALL)
    both = checkpoints(study.trials / TRIAL)
    damaged = both if damage == "both truncated" else both[:1]
    for file in damaged:
        file.write_bytes(DAMAGES[damage.removeprefix("both ")](file.read_bytes(), foreign))
    said = study.finish("resume", "small").stderr
    for file in damaged:
        (line,) = [line for line in said.splitlines() if line.startswith(f"{file}: unreadable checkpoint (")]
        assert line.endswith("; trying an older one")
    unharmed(study, undisturbed(SMALL), f"a checkpoint that is {damage}", len(damaged))
