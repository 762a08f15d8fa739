"""Flipped bits in what a study stored: nothing wrong is learned from or exported, and what is damaged is made again."""

import shutil
from pathlib import Path

import pytest
from support.damage import flip_in_the_middle
from support.disturbed import SMALL, Harm, Study, harm, tally, unharmed
from support.undisturbed import Undisturbed

from study.digests import CHANGED

pytestmark = pytest.mark.faults
TRIAL = "grid-0003"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study that was killed when its teacher and some students were trained."""
    study = Study(tmp_path_factory.mktemp("killed"), SMALL)
    with study.start() as driver:
        driver.until((study.trials / TRIAL).exists, f"{TRIAL} begins", every=0.002)
        driver.kill_all()
    return study


@pytest.fixture
def study(tmp_path: Path, killed: Study) -> Study:
    shutil.copytree(killed.folder, tmp_path / "copy")
    return Study(tmp_path / "copy", SMALL)


def _stored(study: Study, patterns: list[str]) -> dict[Path, bytes]:
    """What these files hold, by their path from the folder of all studies."""
    root = study.folder / ".noisy-study"
    found = {file.relative_to(root): file.read_bytes() for pattern in patterns for file in root.glob(pattern)}
    assert found
    return found


DAMAGED = {
    "a teacher's logits": ["logits/*.safetensors"],
    "a teacher's weights": ["teachers/*/weights.safetensors"],
    "a teacher's weights and logits": ["logits/*.safetensors", "teachers/*/weights.safetensors"],
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_teacher_is_made_again(study: Study, undisturbed: Undisturbed, what: str) -> None:
    files = _stored(study, DAMAGED[what])
    for file in files:
        flip_in_the_middle(study.folder / ".noisy-study" / file)
    said = study.finish("resume", "small").stderr
    assert "damaged" in said
    assert _stored(study, DAMAGED[what]) == _stored(undisturbed(SMALL), DAMAGED[what])
    unharmed(study, undisturbed(SMALL), f"one bit of {what} is flipped", len(files))


def test_damaged_weights_of_students_are_refused_and_made_again(study: Study, undisturbed: Undisturbed) -> None:
    study.finish("resume", "small")
    files = sorted(study.trials.glob("*/weights.safetensors"))
    for file in files:
        flip_in_the_middle(file)
    with study.command("export", "small", "--out", "exported") as export:
        assert export.ends() == 2
        (line,) = export.stderr.splitlines()
        assert line.endswith(f"{CHANGED}; noisy-study resume small trains this student again")
    assert not (study.folder / "exported").exists()
    assert harm(study, undisturbed(SMALL)) == Harm(0, 0, changed=len(files))
    study.finish("resume", "small")
    tally("one bit of every student's weights is flipped", len(files), len(files), harm(study, undisturbed(SMALL)))
    assert harm(study, undisturbed(SMALL)) == Harm(0, 0, 0)
    assert study.table() == undisturbed(SMALL).table()
