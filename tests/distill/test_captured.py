"""Which queues of a GPU wait for which, with queues that only write down what they are asked."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from support.small_training import logits_for, small_data, trial

from study.distill.captured import DeviceStream
from study.distill.side_by_side import run_epochs
from study.distill.trainer import DistillationTrainer


class Queue:
    """A stand-in of `torch.cuda.Stream`: it keeps the queues that it was told to wait for."""

    current: "Queue"

    def __init__(self, *_: object) -> None:
        self.waits: list[Queue] = []

    def wait_stream(self, other: "Queue") -> None:
        self.waits.append(other)


@pytest.fixture
def default(monkeypatch: pytest.MonkeyPatch) -> Queue:
    """The queue that is current at first."""

    @contextmanager
    def entered(queue: Queue) -> Iterator[None]:
        before, Queue.current = Queue.current, queue
        try:
            yield
        finally:
            Queue.current = before

    Queue.current = Queue()
    monkeypatch.setattr(torch.cuda, "Stream", Queue)
    monkeypatch.setattr(torch.cuda, "stream", entered)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: Queue.current)
    return Queue.current


def queue_of(stream: DeviceStream) -> Queue:
    """The stand-in of a stream, which gets one although there is no GPU."""
    found = Queue()
    stream._stream = found
    return found


def test_what_is_used_is_waited_for_on_both_sides(default: Queue) -> None:
    stream = DeviceStream(torch.device("cpu"))
    queue = queue_of(stream)
    with stream.used():
        assert Queue.current is queue
    assert (queue.waits, default.waits) == ([default], [queue])


def test_no_queue_waits_where_it_is_used_without_waiting(default: Queue) -> None:
    stream = DeviceStream(torch.device("cpu"))
    queue = queue_of(stream)
    with stream.used_without_waiting():
        assert Queue.current is queue
    assert Queue.current is default
    assert (queue.waits, default.waits) == ([], [])


def test_no_step_of_a_student_waits_for_another_student(default: Queue) -> None:
    """Two students with 8 steps of an epoch: the default queue waits at the start and the end of each epoch only."""
    streams = [DeviceStream(torch.device("cpu")) for _ in range(2)]
    queues = [queue_of(stream) for stream in streams]
    data = small_data()
    trainers = [
        DistillationTrainer(trial(epochs=1, seed=seed), data, logits_for(data), stream=stream)
        for seed, stream in enumerate(streams)
    ]
    ends = run_epochs(trainers)
    assert not [end for end in ends if isinstance(end, Exception)]
    assert default.waits.count(queues[0]) == default.waits.count(queues[1]) == 2
    assert all(queue.waits == [default, default] for queue in queues)
