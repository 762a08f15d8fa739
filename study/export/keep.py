"""After a study has finished: writes its description, its report and its best student to the tracking server.

Works on a study that has finished and whose events were all sent. The three are independent: if one of them fails, one
line reports it, and the study still counts as finished.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from study.data.dataset import Dataset
from study.errors import UserError
from study.export.choice import choose
from study.results.description import describe
from study.results.read import TrackedStudy
from study.results.report import write_report_of


def keep_results(
    tracking_uri: str, tracked: TrackedStudy, root: Path, data_root: Path, dataset: Dataset | None = None
) -> list[str]:
    """Describe a study on MLflow's pages, log its report with its run, and register its best student.

    Args:
        tracking_uri: the address of an MLflow server, or `sqlite:///FILE`.
        tracked: the study, as read from there.
        root: the folder of all studies.
        data_root: the folder of the data sets.
        dataset: the study's images, if they are in memory already.

    Returns:
        what was done and what failed, one line each.
    """

    def register() -> str:
        # PyTorch and MLflow's model code take seconds to load, so they are imported only here, at the end of a study.
        from study.export.registry import register_student
        from study.export.weights import open_student

        registered = register_student(tracking_uri, open_student(choose(tracked), root, data_root, dataset))
        return f"the best student: {registered}"

    return [
        *_tried("no description", lambda: describe(tracking_uri, tracked)),
        *_tried("no report", lambda: _report(tracking_uri, tracked)),
        *_tried("the best student is not registered", register),
    ]


def _report(tracking_uri: str, tracked: TrackedStudy) -> str | None:
    with tempfile.TemporaryDirectory(prefix="noisy-study-report-", ignore_cleanup_errors=True) as folder:
        why_not = write_report_of(tracking_uri, tracked, Path(folder)).not_logged
    return None if why_not is None else f"the report could not be logged to the study's run: {why_not}"


def _tried(otherwise: str, act: Callable[[], str | None]) -> list[str]:
    try:
        said = act()
    except UserError as error:
        return [f"{otherwise}: {error}"]
    except Exception as error:  # noqa: BLE001 - an error after the end must not fail the study
        return [f"{otherwise}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"]
    return [] if said is None else [said]
