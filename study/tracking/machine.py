"""How busy the driver's machine is: MLflow's system metrics, measured beside the training.

A thread samples with MLflow's own collectors and puts the metrics into the outbox, so a server that does not answer
does not slow down the study. MLflow's own monitor calls the server between two samples, and stops for good the first
time that the server does not answer.

It is off by default; MLflow's own variable turns it on. Trials may run on other machines, which it does not measure.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from study import environment
from study.errors import UserError
from study.tracking.events import Event, MachineMeasured, now_ms

DEFAULT_INTERVAL = 10.0
"""Seconds between two samples, as in MLflow."""

PREFIX = "system/"
"""MLflow's UI shows metrics whose names begin with this as system metrics."""


@contextmanager
def measured_machine(track: Callable[[Event], None]) -> Iterator[None]:
    """Measure while the body runs, if `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING` is true.

    Args:
        track: takes the events; it is called on another thread.
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
            return  # the disk is full or gone: the study's next event reports it


def _monitors() -> list[Any]:
    """MLflow's collectors, which have no types. GPUs are included if there are any and `nvidia-ml-py` is installed."""
    from mlflow.system_metrics.metrics import cpu_monitor, disk_monitor, gpu_monitor, network_monitor

    kinds: list[Any] = [cpu_monitor.CPUMonitor, disk_monitor.DiskMonitor, network_monitor.NetworkMonitor]
    monitors = [kind() for kind in kinds]
    with suppress(ImportError, RuntimeError):
        gpus: Any = gpu_monitor.GPUMonitor
        monitors.append(gpus())
    return monitors


def _interval() -> float:
    """Seconds between two samples; the default if the variable is not a number."""
    given = environment.system_metrics_interval()
    return DEFAULT_INTERVAL if given is None else max(0.1, given)
