"""Plain data as MLflow's own entities, and runs in the order in which one of several is kept.

Pure functions. Sends nothing.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from study.tracking.events import DatasetUsed

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run

MAX_METRICS = 800
"""The most metrics in one `log_batch`. MLflow accepts 1,000 metrics, parameters and tags together."""

MAX_TAGS = 100
"""The most tags that MLflow takes in one request."""

LoggedMetric = tuple[str, float, int, int]
"""Name, value, Unix time in milliseconds, step."""


def portions(metrics: Sequence[LoggedMetric]) -> list[Sequence[LoggedMetric]]:
    """The metrics in portions of `MAX_METRICS`, in order; one empty portion if there are none."""
    return [metrics[start : start + MAX_METRICS] for start in range(0, max(1, len(metrics)), MAX_METRICS)]


def portions_of_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """The tags in portions of `MAX_TAGS`, in order."""
    entries = list(tags.items())
    return [dict(entries[start : start + MAX_TAGS]) for start in range(0, len(entries), MAX_TAGS)]


def as_input(used: DatasetUsed) -> "DatasetInput":
    """Images that a study uses, as an input of its parent run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.types import Schema, TensorSpec

    inputs = Schema([TensorSpec(np.dtype(used.dtype), (-1, *used.shape[1:]), name="images")])
    labels = Schema([TensorSpec(np.dtype(np.int64), (-1,), name="labels")])
    schemas = {"mlflow_tensorspec": {"features": inputs.to_json(), "targets": labels.to_json()}}
    return DatasetInput(
        dataset=Dataset(
            name=used.name,
            digest=used.digest,
            source_type="code",
            source=used.source,
            schema=json.dumps(schemas),
            profile=json.dumps({"features_shape": list(used.shape), "num_classes": used.classes}),
        ),
        tags=[InputTag("mlflow.data.context", used.context)],
    )


def fullest_first(runs: "list[Run]") -> "list[Run]":
    """Runs of one trial, or of one study, sorted by how much is in them, the fullest first."""

    def fullness(run: "Run") -> tuple[int, int, str]:
        return len(run.data.tags) + len(run.data.params), len(run.data.metrics), run.info.run_id

    return sorted(runs, key=fullness, reverse=True)
