"""Denormal numbers are zero in every thread of a training or an evaluation, and as before everywhere else."""

import subprocess
import sys
from pathlib import Path

import pytest

from study.distill.denormals import flushed_denormals, flushes_denormals

ROOT = Path(__file__).parents[2]

SHARED_BY_FOUR_THREADS = """
import sys
sys.path += ["tests"]
import torch
from support.small_training import images, logits_for, small_data, trial
from torch import nn

torch.set_num_threads(4)
seen = set()

def zeros():
    # Shared by all four threads: each one's share is zero where that thread counts denormal numbers as zero.
    halves = torch.full((4, 250_000), 1e-39) * 0.5
    return tuple((halves == 0).sum(dim=1).tolist())

class Looks(nn.Module):
    def __init__(self, network=None):
        super().__init__()
        self.network = network or nn.Sequential(nn.Flatten(), nn.Linear(16, 3))

    def forward(self, batch):
        seen.add(zeros())
        return self.network(batch)

def check(everywhere=(250_000,) * 4):
    assert seen == {everywhere}, seen
    assert zeros()[0] == 0, "the setting outlives what it is for"
"""
"""PyTorch makes its threads at the first large operator, so each case has a process of its own."""

CASES = {
    "training": """
from models import zoo
from study.distill.trainer import DistillationTrainer
build = zoo.build
zoo.build = lambda *of: Looks(build(*of))
data = small_data()
DistillationTrainer(trial(epochs=1), data, logits_for(data)).run_epoch()
""",
    "trial": """
import pathlib, tempfile
from models import zoo
from study.data.dataset import Dataset, Split
from study.running.job import DeviceImages, TrialJob
from study.running.trial import TrialRun
build = zoo.build
zoo.build = lambda *of: Looks(build(*of))
pixels, labels = (tensor.numpy() for tensor in (images(45, 1)._images, images(45, 1)._labels))
split = Split(pixels, labels)
whole = DeviceImages(Dataset("small", ("a", "b", "c"), split, split, split, 1.0, None, mirror=False, digest="d"))
with tempfile.TemporaryDirectory() as folder:
    there = pathlib.Path(folder)
    teacher = trial("labels", epochs=1, stage="teacher", role="teacher")
    run = TrialRun(TrialJob(0, teacher, there / "0", None, there / "logits", "key"), {}, whole)
    assert run.step().summary.outcome == "completed"
""",
    "evaluation": """
from study.distill.evaluation import error_of
error_of(Looks(), images(30, 2))
""",
    "teacher's logits": """
from study.distill.teachers import logits_of
logits_of(Looks(), images(30, 2))
""",
    "export": """
import numpy
from study.export.student import logits_on
class OfBytes(Looks):
    def forward(self, batch):
        return super().forward(batch.float())
logits_on(OfBytes(), numpy.zeros((30, 1, 4, 4), numpy.uint8))
""",
    "bare loop of the benchmarks": """
import pathlib, tempfile
from benchmarks import by_hand
from benchmarks.cases import Case, write_images
build = by_hand.zoo.build
by_hand.zoo.build = lambda *of: Looks(build(*of))
case = Case("small", "mnist", "FC10", "FC10", 600, 500, 2, ("fp32",), 1)
with tempfile.TemporaryDirectory() as folder:
    write_images(case, pathlib.Path(folder))
    by_hand.bare_loop(case, pathlib.Path(folder), "fp32")
""",
}


def _has_the_setting() -> bool:
    with flushed_denormals():
        return flushes_denormals()


pytestmark = pytest.mark.skipif(not _has_the_setting(), reason="this processor cannot count denormal numbers as zero")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_denormals_are_zero_in_every_thread(case: str) -> None:
    program = f"{SHARED_BY_FOUR_THREADS}{case}check()\n"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_thread_is_afterwards_as_it_was_before() -> None:
    assert not flushes_denormals()
    with flushed_denormals():
        with flushed_denormals():
            assert flushes_denormals()
        assert flushes_denormals()
    assert not flushes_denormals()


def test_an_error_leaves_the_setting_as_it_was() -> None:
    with pytest.raises(ZeroDivisionError), flushed_denormals():
        raise ZeroDivisionError
    assert not flushes_denormals()
