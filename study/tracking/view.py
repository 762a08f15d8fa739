"""A saved view for MLflow's UI: a study's trials with their settings and errors, and charts of its arms.

Works on names and on the tag in which MLflow keeps the saved views of an experiment's page. Without a saved view, the
page shows no parameters and no metrics until the user chooses each of them. A server that does not know the tag ignores
it.
"""

import base64
import json
import zlib
from typing import Any

from study.plain import plain
from study.tracking import schema
from study.tracking.address import answering, first_opening, store_exists

KEY = "noisy-study"
TAG = f"mlflow.sharedViewState.{KEY}"
NAME = "Trials and arms"

_COLUMNS = (
    *(f"metrics.`{name}`" for name in (schema.BEST_VAL_ERROR, schema.TEST_ERROR)),
    *(f"params.`{name}`" for name in (schema.METHOD, schema.SIGMA, schema.ALPHA, schema.SEED, schema.STUDENT)),
    f"tags.`{schema.STAGE}`",
)
_CHARTS = (
    (schema.SIGMA, schema.TEST_ERROR),
    (schema.SIGMA, schema.BEST_VAL_ERROR),
    (schema.ALPHA, schema.BEST_VAL_ERROR),
)


def saved_view(timestamp_ms: int) -> str:
    """The tag's value, as MLflow 3.17 writes and reads it. Trials are sorted by validation error, lowest first."""
    state: dict[str, Any] = {
        "searchFilter": "",
        "orderByKey": f"metrics.`{schema.BEST_VAL_ERROR}`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(_COLUMNS),
        "columnOrder": [],
        "columnWidths": {},
        "runsHiddenMode": "SHOWALL",
        "compareRunCharts": [_chart(setting, error) for setting, error in _CHARTS],
        "compareRunSections": [
            {"uuid": KEY, "name": "Arms", "display": True, "isReordered": False, "deleted": False, "isGenerated": False}
        ],
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    times = {"createdAt": timestamp_ms, "updatedAt": timestamp_ms}
    return json.dumps({"name": NAME, **times, "state": f"deflate;{packed}"})


def page(experiment_id: str, charts: bool = False) -> str:
    """The path of the view in MLflow's UI: the table of trials, or the charts."""
    shown = f"workflowType=machine_learning&viewStateShareKey={KEY}{'&compareRunsMode=CHART' if charts else ''}"
    return f"#/experiments/{experiment_id}/runs?{shown}"


def pages(uri: str, most: int = 5) -> dict[str, str]:
    """The pages of the studies that changed last, by the studies' names. It is empty if there is no store yet.

    Raises:
        UserError: the store cannot be read.
    """
    if not store_exists(uri):
        return {}
    with answering(uri), first_opening(uri):
        from mlflow import MlflowClient

        found = MlflowClient(uri).search_experiments(max_results=most, order_by=["last_update_time DESC"])
    return {plain(each.name): page(plain(each.experiment_id)) for each in found if TAG in each.tags}


def _chart(setting: str, error: str) -> dict[str, Any]:
    return {
        "uuid": f"{setting}-{error}",
        "type": "SCATTER",
        "runsCountToCompare": 100,
        "metricSectionId": KEY,
        "deleted": False,
        "isGenerated": False,
        "xaxis": {"key": setting, "type": "PARAM"},
        "yaxis": {"key": error, "type": "METRIC"},
    }
