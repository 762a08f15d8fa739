"""The machine is measured where MLflow's own variable asks for it, on a thread of its own."""

import threading

import pytest

from study.environment import SYSTEM_METRICS, SYSTEM_METRICS_INTERVAL
from study.errors import UserError
from study.tracking.events import Event, MachineMeasured
from study.tracking.machine import measured_machine


class Heard:
    """Takes events, and tells when there were some."""

    def __init__(self, error: Exception | None = None) -> None:
        self.events: list[Event] = []
        self.enough = threading.Event()
        self._error = error

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) >= 2 or self._error is not None:
            self.enough.set()
        if self._error is not None:
            raise self._error


@pytest.fixture
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SYSTEM_METRICS, "true")
    monkeypatch.setenv(SYSTEM_METRICS_INTERVAL, "0.1")


def test_it_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SYSTEM_METRICS, raising=False)
    before = threading.active_count()
    with measured_machine(Heard()):
        assert threading.active_count() == before


@pytest.mark.usefixtures("switched_on")
def test_it_tells_again_and_again_by_mlflow_s_names() -> None:
    heard = Heard()
    with measured_machine(heard):
        assert heard.enough.wait(60)
    first = heard.events[0]
    assert isinstance(first, MachineMeasured)
    assert 0 <= first.metrics["system/cpu_utilization_percentage"] <= 100
    assert first.metrics["system/system_memory_usage_megabytes"] > 0


@pytest.mark.usefixtures("switched_on")
def test_it_ends_with_the_study() -> None:
    heard = Heard()
    with measured_machine(heard):
        assert heard.enough.wait(60)
    told = len(heard.events)
    assert "machine" not in {thread.name for thread in threading.enumerate()}
    assert len(heard.events) == told


@pytest.mark.usefixtures("switched_on")
def test_a_disk_that_takes_no_event_ends_it_quietly() -> None:
    heard = Heard(UserError("no room"))
    with measured_machine(heard):
        assert heard.enough.wait(60)
    assert len(heard.events) == 1
