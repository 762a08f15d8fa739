"""The examples of code of the user in docs/how-to.md are checked and planned as written."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.noise import draw_factors
from support.own_process import try_here

from study.data.load import describe_dataset, load_dataset
from study.distill.streams import Streams
from study.distill.teachers import check_given_files
from study.lookup import study_of
from study.noise.settings import Noise
from study.planning import plan
from study.planning.check import check_study

TEXT = (Path(__file__).parents[2] / "docs/how-to.md").read_text(encoding="utf-8")


def _write(folder: Path, name: str, mark: str) -> Path:
    """The code block behind a mark of the page, as a file."""
    found = re.search(rf"^<!-- example: {re.escape(mark)} -->\n```\w+\n(.*?)^```", TEXT, flags=re.M | re.S)
    assert found is not None, f"docs/how-to.md has no example: {mark}"
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(found[1], encoding="utf-8")
    return file


@pytest.fixture
def here(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    try_here(monkeypatch)
    return workspace


def test_a_study_of_ones_own_method_runs_to_its_plan(here: Path) -> None:
    _write(here / "studies", "mine.py", "method in mine.py")
    study = study_of(str(_write(here / "studies", "study.yaml", "study of a method in mine.py")))
    check_study(study, describe_dataset(study.data, here))
    arms = [trial for trial in plan.grid_trials(study) if trial.role == "arm"]
    assert [trial.settings["limit"] for trial in arms] == [2, 2, 2, 5, 5, 5, 10, 10, 10]


def test_a_study_of_ones_own_noise_runs_to_its_plan(here: Path) -> None:
    _write(here / "studies", "mine.py", "form of noise in mine.py")
    study = study_of(str(_write(here / "studies", "study.yaml", "study of a form of noise in mine.py")))
    check_study(study, describe_dataset(study.data, here))
    arms = [trial.noise for trial in plan.grid_trials(study) if trial.role == "arm"]
    assert {(noise.form, noise.per) for noise in arms} == {
        ("studies/mine.py:LogNormal", "sample"),
        ("studies/mine.py:LogNormal", "image"),
    }


def test_a_study_of_laplace_noise_runs_to_its_plan(here: Path) -> None:
    """The example's noise has the tails and the standard deviation of its distribution, and is 0 if σ is 0."""
    _write(here / "studies", "mine.py", "form of another distribution in mine.py")
    mark = "study of a form of another distribution in mine.py"
    study = study_of(str(_write(here / "studies", "study.yaml", mark)))
    check_study(study, describe_dataset(study.data, here))
    forms = {trial.noise.form for trial in plan.grid_trials(study) if trial.role == "arm"}
    assert forms == {"studies/mine.py:Laplace", "additive"}
    noise = Noise(form="studies/mine.py:Laplace")
    drawn = draw_factors(20_000, 10, 0.7, 1.0, Streams.of(1), noise)
    assert float(drawn.std()) == pytest.approx(0.7, rel=0.02)
    scale = 0.7 / math.sqrt(2)  # of a Laplace distribution: P(ξ > x) = exp(−x / scale) / 2
    for x in (0.0, 0.5, 2.0):
        assert float((drawn > x).double().mean()) == pytest.approx(math.exp(-x / scale) / 2, abs=0.005)
    assert not draw_factors(100, 10, 0.0, 1.0, Streams.of(1), noise).any()


def test_a_study_of_given_logits_runs_to_its_plan(here: Path) -> None:
    study = study_of(str(_write(here / "studies", "study.yaml", "study of given logits")))
    images = load_dataset(study.data, here).read_images
    np.savez(here / "big.npz", train=np.zeros((2 * images, 10), dtype=np.float32))
    facts = describe_dataset(study.data, here)
    check_study(study, facts)
    check_given_files(plan.teacher_trials(study), facts, load_dataset(study.data, here))
    assert len(plan.grid_trials(study)) == 9


def test_a_study_of_ones_own_network_runs_to_its_plan(here: Path) -> None:
    """The study file lies in a folder of its own, beside the code."""
    _write(here / "studies", "mine.py", "network in mine.py")
    study = study_of(str(_write(here / "studies", "study.yaml", "study of a network in mine.py")))
    assert study.student.network == "studies/mine.py:SmallNet"
    check_study(study, describe_dataset(study.data, here))
    assert [trial.role for trial in plan.grid_trials(study)] == ["baseline"] * 3 + ["arm"] * 6


def test_a_study_of_a_trained_network_runs_to_its_plan(here: Path) -> None:
    """The example's weights are those of the network without the normalisation."""
    names: dict[str, Any] = {}
    code = _write(here / "mine", "photonet.py", "trained network in photonet.py").read_text(encoding="utf-8")
    exec(code, names)
    torch.save(names["PhotoNet"]().state_dict(), here / "mine/photonet.pt")
    rng = np.random.default_rng(0)
    files = {
        f"{part}/{name}/{at}.png": rng.integers(0, 255, (40, 36, 3), dtype=np.uint8)
        for part, count in (("train", 8), ("test", 2))
        for name in "abcde"
        for at in range(count)
    }
    for path, pixels in files.items():
        (here / "mine/photos" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(here / "mine/photos" / path)
    study = study_of(str(_write(here / "mine", "photos.yaml", "study of a trained network in photos.yaml")))
    assert study.data.path == "mine/photos"
    facts = describe_dataset(study.data, here)
    check_study(study, facts)
    check_given_files(plan.teacher_trials(study), facts, load_dataset(study.data, here))
    assert len(plan.grid_trials(study)) == 20


def test_a_normalised_teacher_normalises_its_images(tmp_path: Path) -> None:
    """It has the weights of the network that it is made of, and no more."""
    code = _write(tmp_path, "mine.py", "normalised teacher").read_text(encoding="utf-8")
    names: dict[str, Any] = {"Big": torch.nn.Identity}
    exec(code, names)
    made = names["Normalised"]()
    assert made.state_dict() == {}
    white = made(torch.ones(2, 3, 4, 4)).mean(dim=(0, 2, 3)).tolist()
    assert white == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
