"""The history of one metric, page by page.

Works on MLflow's client. Its own method asks for pages until the server sends no further token, which a hostile server
never does.

Written for mlflow 3.17. It replaces `MlflowClient.get_metric_history`, and reads the private attribute
`MlflowClient._tracking_client`, whose `store` gives one page.
With another version or another shape, MLflow's own method is used: the same results, but no bound on the pages.
"""

import inspect
from typing import TYPE_CHECKING, Any

from study.adapters.versions import is_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

WRITTEN_FOR = "3.17"

ARGUMENTS = ["self", "run_id", "metric_key", "max_results", "page_token"]
"""Of the method of every store that gives one page."""

PER_PAGE = 25_000
"""As many as MLflow's own method asks for."""


def has_pages() -> bool:
    """Whether the private part is the one this adapter was written for."""
    import mlflow
    from mlflow.store.tracking.abstract_store import AbstractStore
    from mlflow.tracking._tracking_service.client import TrackingServiceClient

    method = getattr(AbstractStore, "get_metric_history", None)
    return (
        is_version(mlflow.__version__, WRITTEN_FOR)
        and callable(method)
        and list(inspect.signature(method).parameters) == ARGUMENTS
        and isinstance(getattr(TrackingServiceClient, "store", None), property)
    )


def page_of_history(client: "MlflowClient", run_id: str, metric: str, token: str | None) -> Any:
    """One page of a metric's history, as MLflow's `PagedList`; the whole history where there are no pages.

    Args:
        client: of the tracking server.
        run_id: of the run.
        metric: its name.
        token: of the page before; None for the first page.
    """
    from mlflow.store.entities import PagedList

    tracking = getattr(client, "_tracking_client", None)
    if tracking is None or not has_pages():
        return PagedList(client.get_metric_history(run_id, metric), None)
    return tracking.store.get_metric_history(run_id=run_id, metric_key=metric, max_results=PER_PAGE, page_token=token)
