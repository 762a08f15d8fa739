"""How busy the machine is that a study runs from: MLflow's system metrics, off the path of the training.

A thread samples with MLflow's own collectors and puts what it finds among the events, so a server that does not answer
costs a study nothing here either. MLflow's own monitor would ask the server between any two samples, and end for good
the first time that it gets no answer.

Off unless MLflow's own variable asks for it: trials may run on other machines than this one, so the numbers help only
those who know that theirs do not.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from study import environment
from study.errors import UserError
from study.tracking.events import Event, MachineMeasured, now_ms

DEFAULT_INTERVAL = 10.0
"""Seconds, as MLflow has it."""

PREFIX = "system/"
"""What MLflow's UI takes for a system metric."""


@contextmanager
def measured_machine(track: Callable[[Event], None]) -> Iterator[None]:
    """Measure while the body runs, where `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING` is true.

    Args:
        track: takes what was measured, on a thread of its own.
    """
    if not environment.logs_system_metrics():
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_measure, args=(track, over, _interval()), name="machine", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _measure(track: Callable[[Event], None], over: threading.Event, interval: float) -> None:
    monitors = _monitors()
    while not over.wait(interval):
        metrics: dict[str, float] = {}
        for monitor in monitors:
            monitor.collect_metrics()
            metrics |= {f"{PREFIX}{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        try:
            track(MachineMeasured(metrics=metrics, timestamp_ms=now_ms()))
        except UserError:
            return  # the disk: the study itself says so, at its next event


def _monitors() -> list[Any]:
    """MLflow's collectors, which have no types; that of GPUs where there is one and `nvidia-ml-py` is installed."""
    from mlflow.system_metrics.metrics import cpu_monitor, disk_monitor, gpu_monitor, network_monitor

    kinds: list[Any] = [cpu_monitor.CPUMonitor, disk_monitor.DiskMonitor, network_monitor.NetworkMonitor]
    monitors = [kind() for kind in kinds]
    with suppress(ImportError, RuntimeError):
        gpus: Any = gpu_monitor.GPUMonitor
        monitors.append(gpus())
    return monitors


def _interval() -> float:
    """Seconds; the default where the variable is no number."""
    given = environment.system_metrics_interval()
    return DEFAULT_INTERVAL if given is None else max(0.1, given)
