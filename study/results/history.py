"""Metric histories of many runs.

Works on run ids and the name of one metric. MLflow's client has no call for several runs at once. The bulk endpoints of
its server are for its own pages, and also query the database run by run. So this module sends one request for each run,
several at the same time. The caller decides for how many runs.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pandas as pd

from study.results.read import ERROR_METRICS, not_a_share
from study.tracking.address import answering, retry_read
from study.tracking.pages import metric_history

if TYPE_CHECKING:
    from mlflow.entities import Metric

AT_ONCE = 8


def read_histories(tracking_uri: str, run_ids: Sequence[str], metric: str) -> dict[str, "pd.Series[float]"]:
    """One metric of several runs, by step.

    Args:
        tracking_uri: of an MLflow server, or `sqlite:///FILE`.
        run_ids: whose.
        metric: its name in the tracking schema, for instance `val_error`.

    Returns:
        by run id, its values over steps, ascending, the last one where a step has several; runs without the metric
        are not in it.

    Raises:
        UserError: the server does not answer, has no such run, or a value of an error metric lies outside [0, 1].
    """
    with answering(tracking_uri):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=tracking_uri)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(
                pool.map(lambda run_id: retry_read(tracking_uri, metric_history, client, run_id, metric), run_ids)
            )
    series = {run_id: _series(history) for run_id, history in zip(run_ids, found, strict=True) if history}
    if metric in ERROR_METRICS:
        for run_id, values in series.items():
            for value in values[(values < 0) | (values > 1)]:
                raise not_a_share(f"run {run_id}", metric, value)
    return series


def _series(history: Sequence["Metric"]) -> "pd.Series[float]":
    ordered = sorted(history, key=lambda entry: (entry.step, entry.timestamp))
    by_step = {entry.step: entry.value for entry in ordered}
    return pd.Series(list(by_step.values()), index=pd.Index(list(by_step), name="step"), dtype="float64")
