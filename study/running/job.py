"""What a worker gets to run trials: the images on its device, and the job of each trial.

Knows nothing of Ray, and of how a trial runs.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from study.config import TrialConfig
from study.data.dataset import Dataset
from study.data.tensors import ImageTensors


class DeviceImages:
    """A dataset's splits on one device. They are copied there once, and all trials of a worker use them."""

    def __init__(self, dataset: Dataset, device: str = "cpu") -> None:
        self.dataset, self.device = dataset, device

    @cached_property
    def train(self) -> ImageTensors:
        return ImageTensors.of(self.dataset, "train").to(self.device)

    @cached_property
    def validation(self) -> ImageTensors:
        return ImageTensors.of(self.dataset, "validation").to(self.device)

    @cached_property
    def test(self) -> ImageTensors:
        return ImageTensors.of(self.dataset, "test").to(self.device)


@dataclass(frozen=True, repr=False)
class TrialJob:
    """What a worker needs to run one trial. Ray Tune copies and prints a trial's job many times: both cost little."""

    number: int
    trial: TrialConfig
    folder: Path
    target: str | None
    """Key of its target (combined teacher logits); None for a trial that learns from labels."""
    logit_store: Path
    logit_key: str | None = None
    """For a teacher: under which key its logits are stored."""
    threads: int = 1
    """How many threads train it, and make its logits if it is a teacher."""
    processors: Path | None = None
    """The study's file with the measurements of processors; None: this process measures for itself."""
    code: Path | None = None
    """The study's copies of the user's own code."""

    def __repr__(self) -> str:
        return f"TrialJob({self.number})"

    def __deepcopy__(self, memo: object) -> "TrialJob":
        """The same object: nothing in a job changes."""
        return self
