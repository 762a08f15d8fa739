"""A study's report: one HTML page that needs no other file, and its figures as SVG and PNG.

Works on a study that `study.results.read` read from the tracking server. The page has no script and loads nothing.
Everything that comes from the tracking server is escaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from study.errors import UserError
from study.results.figures.chosen import ByValidation, by_validation
from study.results.formats.html import fragment as html_fragment
from study.results.history import read_histories
from study.results.more_seeds import introduction, more_seeds
from study.results.read import TrackedStudy, read_study
from study.results.row_words import arm_words
from study.results.rows import Row, Table
from study.results.table import table_of
from study.results.verdicts import TESTED, WORDS, Tested
from study.results.wording import count, file_name, plain, seeds_each, signed
from study.storage import write_whole
from study.tracking import schema
from study.tracking.address import answering
from study.tracking.artifacts import place_of

if TYPE_CHECKING:
    from study.results.figures.pictures import Pictures

PAGE = "index.html"
ARTIFACT_FOLDER = "report"
"""The folder of the same files in the artifacts of the study's parent run."""

SWEEPS = ("error-over-", "teacher-or-student-noise", "improvement-map")
"""Figures that people decide by: the first of them that a report has is beside the verdict."""

Conclusion = Tested | Literal["mixed", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """The conclusion of a study, in one word and in one sentence."""

    outcome: Conclusion
    sentence: str


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        page: the HTML file.
        files: all files, the page first.
        not_logged: why they are not in the artifacts of the study's run, in one line; None if they are.
    """

    page: Path
    files: tuple[Path, ...]
    not_logged: str | None


def default_folder(study: str) -> Path:
    """The default folder of a study's report: `NAME-report` in the working folder."""
    return Path(f"{file_name(study)}-report")


def write_report(tracking_uri: str, study: str, folder: Path) -> Report:
    """Read a study, write its report, and log the report with the study's parent run.

    Args:
        tracking_uri: the address of an MLflow server, or `sqlite:///FILE`.
        study: the study's name.
        folder: the folder to write to. It is created if needed, and files of the same names are replaced.

    Raises:
        UserError: the server does not answer or has no such study, a trial's parameters cannot be read, or the folder
            cannot be written. Nothing is written unless everything was read.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder}: this is a file; name a folder")
    return write_report_of(tracking_uri, read_study(tracking_uri, study), folder)


def write_report_of(tracking_uri: str, tracked: TrackedStudy, folder: Path) -> Report:
    """`write_report` for a study that was already read.

    Raises:
        UserError: as `write_report`.
    """
    table = table_of(tracked)
    validation = by_validation(tracked)
    # Importing matplotlib takes a second, so it is imported only when a report is drawn.
    from study.results.figures.pictures import sketches_of

    drawn = sketches_of(
        tracked, table, validation, lambda run_ids, metric: read_histories(tracking_uri, run_ids, metric)
    ).finish()
    contents: dict[str, bytes] = {PAGE: page(tracked, table, verdict(table, validation), drawn).encode()}
    for picture in drawn.pictures:
        contents |= {f"{picture.name}.svg": picture.svg.encode(), f"{picture.name}.png": picture.png}
    files = _write(folder, contents)
    return Report(files[0], files, _log(tracking_uri, tracked.name, files))


# ------------------------------------------------------------------------------------------------------- the verdict


def verdict(table: Table, validation: ByValidation) -> Verdict:
    """Whether noise helped. The arm is chosen by validation error, because the lowest of many test errors is too low.

    Args:
        table: the study's table.
        validation: the validation errors of its rows.
    """
    arms = [row for row in table.rows if row.arm.role == "arm"]
    baseline = f"baseline: {plain(table.baseline_kind, 200)}"
    if not any(row.n or row.is_lost for row in arms):
        return Verdict("unknown", "No arm has a completed trial yet, so there is no verdict.")
    tested = [row for row in arms if row.verdict in TESTED]
    if not tested:
        return Verdict("unknown", _untested(arms, validation, baseline))
    chosen = [
        validation.best(of_student) or of_student[0]
        for student in dict.fromkeys(row.arm.student for row in tested)
        if (of_student := [row for row in tested if row.arm.student == student])
    ]
    if len(chosen) > 1:
        return _of_students(chosen, tested, baseline, table)
    return _of_arm(chosen[0], tested, baseline, table)


def verdict_of(tracked: TrackedStudy) -> Verdict:
    """The verdict of a study that was read; see `verdict`."""
    return verdict(table_of(tracked), by_validation(tracked))


def _of_arm(row: Row, tested: Sequence[Row], baseline: str, table: Table) -> Verdict:
    whose = "The only arm tested" if len(tested) == 1 else "The arm that validation chose"
    relation = {
        "better": "is better than plain distillation",
        "worse": "is worse than plain distillation",
        "no_difference_that_matters": "does not differ from plain distillation by an amount that matters",
        "undecided": "is undecided: the seeds show no difference from plain distillation, and do not show that there "
        "is none",
    }[row.verdict]
    return Verdict(
        _outcome(row),
        f"{whose}, {arm_words(row)}, {relation}; improvement {_improvement(row, seeds_each([row.n]), baseline)}"
        f"{_all_arms(tested)}{_lost(table)}.{_of_noise(row, tested)}",
    )


def _of_noise(chosen: Row, tested: Sequence[Row]) -> str:
    """What the table says about noise, if the arm that validation chose has none."""
    noisy = [row for row in tested if row.arm.sigma]
    if not noisy or chosen.arm.sigma:
        return ""
    better = sum(row.verdict == "better" for row in noisy)
    return f" Of {count(len(noisy), 'arm')} with noise, {better or 'none'} {'are' if better > 1 else 'is'} better."


def _of_students(chosen: Sequence[Row], tested: Sequence[Row], baseline: str, table: Table) -> Verdict:
    parts = []
    for outcome in TESTED:
        rows = [row for row in chosen if row.verdict == outcome]
        if rows:
            named = ", ".join(f"{plain(row.arm.student)} {_improvement(row)}" for row in rows)
            parts.append(f"{WORDS[outcome]} for {len(rows)} of {count(len(chosen), 'student')} ({named})")
    outcomes = {_outcome(row) for row in chosen}
    return Verdict(
        outcomes.pop() if len(outcomes) == 1 else "mixed",
        f"Against plain distillation, the arm that validation chose for each student is {'; '.join(parts)} "
        f"({seeds_each(row.n for row in chosen)}; {baseline}){_all_arms(tested)}{_lost(table)}.",
    )


def _untested(arms: Sequence[Row], validation: ByValidation, baseline: str) -> str:
    row = validation.best(arms) or next((row for row in arms if not row.is_lost), arms[0])
    if row.verdict == "one_seed":
        return (
            "There is no verdict yet: every comparison has only one seed, so there is no interval; the arm that "
            f"validation chose, {arm_words(row)}, has an improvement of "
            f"{_improvement(row, 'n = 1 seed', baseline)}."
        )
    why = {
        "no_baseline": "there is no baseline to compare with",
        "no_common_seed": "no arm shares a seed with its baseline",
        "two_seeds": "two seeds are too few for a verdict",
        "no_spread": "the differences are the same on all seeds, so there is no spread for a test",
        "seeds_lost": "every arm, or its baseline, lost seeds to trainings that diverged or failed",
    }.get(row.verdict, WORDS[row.verdict])
    return f"There is no verdict: {why} ({seeds_each(arm.n for arm in arms)}; {baseline})."


def _outcome(row: Row) -> Conclusion:
    return next(outcome for outcome in TESTED if outcome == row.verdict)


def _improvement(row: Row, *more: str) -> str:
    """`+4.8 % (95 % interval −1.0 to +9.9 %)`. `more` is added inside the parentheses."""
    if row.improvement_percent is None:
        number, interval = "not defined", "the baseline has no errors"
    else:
        number = f"{signed(row.improvement_percent)} %"
        ends = row.improvement_ci95
        interval = "no interval" if ends is None else f"95 % interval {signed(ends[0])} to {signed(ends[1])} %"
    return f"{number} ({', '.join([interval, *more])})"


def _all_arms(tested: Sequence[Row]) -> str:
    if len(tested) == 1:
        return ""
    verdicts = [row.verdict for row in tested]
    same = verdicts.count("no_difference_that_matters")
    same_words = f", {same} without a difference that matters" if same else ""
    return (
        f"; of all {len(tested)} arms tested, {verdicts.count('better')} better, {verdicts.count('worse')} worse"
        f"{same_words} and {verdicts.count('undecided')} undecided after correction for their number"
    )


def _lost(table: Table) -> str:
    lost = sum(row.arm.role == "arm" and row.verdict == "seeds_lost" for row in table.rows)
    return f"; {count(lost, 'arm')} lost seeds and {'has' if lost == 1 else 'have'} no verdict" if lost else ""


# ---------------------------------------------------------------------------------------------------------- the page


def page(tracked: TrackedStudy, table: Table, said: Verdict, drawn: "Pictures") -> str:
    """The whole HTML page. The same study gives the same text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from study.results.figures.style import theme

    # These SVGs were drawn here. They have only shapes, no text and no comments, so they need no escaping.
    pictures = [(picture, Markup(picture.inline())) for picture in drawn.pictures]
    sweep = next((one for one in pictures if one[0].name.startswith(SWEEPS)), None)
    environment = Environment(
        loader=PackageLoader("study.results", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        study=table.study,
        verdict=said,
        facts=_facts(tracked),
        table=Markup(html_fragment(table)),  # which escapes its cells itself
        introduction=introduction(table),
        seeds=more_seeds(tracked),
        sweep=sweep,
        pictures=[one for one in pictures if one is not sweep],
        files=[picture.name for picture in drawn.pictures],
        left_out=drawn.left_out,
        methods=table.methods if table.rows else "",
        light=theme(dark=False),
        dark=theme(dark=True),
    )


def _facts(tracked: TrackedStudy) -> Mapping[str, str]:
    """Facts about the study, by name. Unknown facts are left out."""
    states = {"RUNNING": "still running", "FINISHED": "finished", "KILLED": "interrupted", "FAILED": "failed"}
    counts = tracked.counts().sum()
    trials = ", ".join(f"{number} {outcome}" for outcome, number in counts.items() if number)
    commit = tracked.tags.get(schema.COMMIT, "").removesuffix(schema.DIRTY)
    known = {
        "state": states.get(tracked.status or ""),
        "trials": trials,
        "dataset": tracked.params.get(schema.DATASET),
        "data digest": tracked.params.get(schema.DATA_DIGEST, "")[:12],
        "code": commit[:12] + tracked.tags.get(schema.COMMIT, "")[len(commit) :],
        "version": tracked.tags.get(f"{schema.VERSION}noisy-teacher-study"),
    }
    return {name: plain(value, 100) for name, value in known.items() if value}


# --------------------------------------------------------------------------------------------------------- the files


def _write(folder: Path, contents: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write the files, the page last, so that a new page always has its figures. Returns the page first."""
    pictures = [name for name in contents if name != PAGE]
    for name in [*pictures, PAGE]:
        write_whole(folder / name, lambda path, content=contents[name]: path.write_bytes(content))  # type: ignore[misc]
    return (folder / PAGE, *(folder / name for name in pictures))


def _log(tracking_uri: str, study: str, files: Sequence[Path]) -> str | None:
    """Log the files with the study's parent run. Returns why that was not possible, or None."""
    from mlflow import MlflowClient

    try:
        with answering(tracking_uri):
            client = MlflowClient(tracking_uri=tracking_uri)
            experiment = client.get_experiment_by_name(study)
            parents = client.search_runs(
                [experiment.experiment_id] if experiment is not None else [],
                f"tags.`{schema.KIND}` = 'study'",
                order_by=["attributes.start_time DESC"],
                max_results=1,
            )
            if not parents:
                return "the study has no parent run"
            place = place_of(tracking_uri, parents[0].info.artifact_uri)
            for file in files:
                place.log_artifact(str(file), ARTIFACT_FOLDER)
    except UserError as error:
        return str(error)
    return None
