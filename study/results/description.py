"""Writes a study's verdict and table in Markdown as the description of its experiment and its parent run in MLflow.

Works on a study that was read. A person sees this before opening the report, which has more.
"""

from study.results.figures.chosen import ByValidation, by_validation
from study.results.formats.md import METHODS
from study.results.read import TrackedStudy
from study.results.render import render
from study.results.report import ARTIFACT_FOLDER, verdict
from study.results.rows import Table
from study.results.table import table_of
from study.tracking import schema, view
from study.tracking.address import answering

NOTE = "mlflow.note.content"
"""The tag that MLflow's UI shows as a description."""

LONGEST_NOTE = 5000
"""In characters. Servers before MLflow 3 cut the tag of an experiment at this length."""


def describe(tracking_uri: str, tracked: TrackedStudy) -> None:
    """Write a study's verdict and table to the tag that MLflow's UI shows as a description.

    Args:
        tracking_uri: the address of an MLflow server, or `sqlite:///FILE`.
        tracked: the study, as read from there.

    Raises:
        UserError: the server does not answer or refuses, or a trial's parameters cannot be read.
    """
    table, validation = table_of(tracked), by_validation(tracked)
    with answering(tracking_uri):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=tracking_uri)
        experiment = client.get_experiment_by_name(tracked.name)
        if experiment is None:
            return
        note = description(table, validation, experiment.experiment_id)
        client.set_experiment_tag(experiment.experiment_id, NOTE, note)
        for parent in client.search_runs([experiment.experiment_id], f"tags.`{schema.KIND}` = 'study'"):
            client.set_tag(parent.info.run_id, NOTE, note)


def description(table: Table, validation: ByValidation, experiment_id: str) -> str:
    """Verdict, links and table in Markdown. If they are longer than `LONGEST_NOTE` characters, the notes and the
    paragraph about methods are left out first, and then the last rows."""
    said = verdict(table, validation).sentence
    more = (
        f"[All trials]({view.page(experiment_id)}), and [the arms as charts]({view.page(experiment_id, charts=True)}). "
        f"The parent run has the whole report under its artifacts, `{ARTIFACT_FOLDER}/index.html`."
    )
    whole = f"{said}\n\n{more}\n\n{render(table, 'md')}"
    if len(whole) <= LONGEST_NOTE:
        return whole
    lines = [line for line in render(table, "md").rstrip().splitlines() if not line.startswith(("- ", METHODS))]
    while lines and not lines[-1]:
        lines.pop()
    kept: list[str] = []
    room = LONGEST_NOTE - len(said) - len(more) - 100
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    left = len(lines) - len(kept)
    cut = f"\n\n{left} more rows are in the table itself." if left > 0 else ""
    return f"{said}\n\n{more}\n\n{chr(10).join(kept).rstrip()}{cut}\n"
