"""Trainings side by side on one device: each has its own trainer, and they take turns, step by step.

Works on trainers. Knows nothing of trials, of Ray or of files. On a GPU a turn only queues the step, so the steps of
different trainings run at the same time, as far as the GPU has room. Each training keeps its own generators, weights
and optimiser, and its numbers are those of the training alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import torch

from study.distill.captured import DeviceStream
from study.distill.denormals import flushed_denormals
from study.distill.trainer import DistillationTrainer
from study.records import EpochRecord

QUEUES = 8
"""A GPU has about eight queues that run at the same time; more streams share them."""


def streams(device: torch.device) -> Iterator[DeviceStream]:
    """The queues that trainings side by side share, in turn and without end."""
    queues = [DeviceStream(device) for _ in range(QUEUES)]
    while True:
        yield from queues


@flushed_denormals()
def run_epochs(trainers: Sequence[DistillationTrainer]) -> list[EpochRecord | Exception]:
    """Train each on every image once, then validate. Trainers may have different numbers of steps.

    Returns:
        for each trainer its record, or why its epoch has failed. Such a trainer must not be used again.
    """
    if len(trainers) == 1:
        try:
            return [trainers[0].run_epoch()]
        except Exception as error:  # noqa: BLE001 - as below
            return [error]
    ends: dict[int, EpochRecord | Exception] = {}
    running = {place: trainer.steps() for place, trainer in enumerate(trainers)}
    while running:
        for place, steps in list(running.items()):
            trainer = trainers[place]
            try:
                # Trainings that may use the global generators take turns with these, too.
                with trainer.dropout.lent() if trainer.may_draw else nullcontext():
                    next(steps)
            except StopIteration:
                del running[place]
            except Exception as error:  # noqa: BLE001 - it belongs to one training
                ends[place] = error
                del running[place]
    for place, trainer in enumerate(trainers):
        if place not in ends:
            try:
                ends[place] = trainer.end_epoch(beside=len(trainers))
            except Exception as error:  # noqa: BLE001 - it belongs to one training
                ends[place] = error
    return [ends[place] for place in range(len(trainers))]
