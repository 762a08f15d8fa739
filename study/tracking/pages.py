"""Searches of a tracking server, page after page, with an end.

Works on a function that asks for one page. A server says with each page how to ask for the next one. One that always
does would keep its reader busy, and fill the memory.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeVar

from study.adapters.mlflow_history import page_of_history
from study.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

T = TypeVar("T", covariant=True)

MOST_PAGES = 4_000
"""A million runs, with 250 to a page."""


class Page(Protocol[T]):
    """What MLflow's searches return: a list, and the token of the next page, empty or None on the last one."""

    @property
    def token(self) -> str | None: ...

    def __iter__(self) -> Iterator[T]: ...

    def __len__(self) -> int: ...


U = TypeVar("U")


def all_of(ask: Callable[[str | None], Page[U]]) -> Iterable[U]:
    """Every result of a search.

    Args:
        ask: gives one page for the token of the page before; None for the first.

    Raises:
        UserError: the server sends an empty page that is not the last, a token for the second time, or more than
            `MOST_PAGES` pages.
    """
    token: str | None = None
    seen: set[str] = set()
    for _ in range(MOST_PAGES):
        page = ask(token)
        yield from page
        token = page.token or None
        if token is None:
            return
        if token in seen or not len(page):
            break
        seen.add(token)
    raise UserError(
        "the tracking server sends pages without end; check that MLFLOW_TRACKING_URI names an MLflow server"
    )


def metric_history(client: "MlflowClient", run_id: str, metric: str) -> "list[Metric]":
    """All values of a metric of a run.

    Raises:
        UserError: as `all_of`.
    """
    return list(all_of(lambda token: page_of_history(client, run_id, metric, token)))
