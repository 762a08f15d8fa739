"""`run`, `resume` and `extend`: run a study with a live display, then print its table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.own_code import copies_in
from study import environment
from study.cluster.jobs import check_job_environment
from study.config import StudyConfig, parse_study
from study.errors import (
    Interrupted,
    NothingFound,
    StorageFull,
    StudyFailed,
    TrackingUnavailable,
    Undelivered,
    UserError,
)
from study.interrupts import interruptible
from study.lookup import exists_already, find_study, larger_study, started_study, study_of
from study.storage import DEFAULT_ROOT, StudyFolder
from study.terminal.cli.options import (
    AddressOption,
    DataRootOption,
    NameArgument,
    NameOption,
    OptionalStudyArgument,
    SetOption,
    VerboseOption,
)
from study.terminal.cli.output import errors, say
from study.terminal.streams import unread_output_allowed
from study.tracking.address import tracking_uri

if TYPE_CHECKING:
    from study.results.read import TrackedStudy


def run(
    study: OptionalStudyArgument = None,
    name: NameOption = None,
    settings: SetOption = None,
    data_root: DataRootOption = None,
    address: AddressOption = None,
    from_run: Annotated[
        str | None, typer.Option("--from-run", help="the id of a parent run: run its study file again")
    ] = None,
    resume_existing: Annotated[bool, typer.Option("--resume", help="resume the study if it already exists")] = False,
    extend_existing: Annotated[
        bool, typer.Option("--extend", help="extend the existing study to this larger study file")
    ] = False,
    go_on: Annotated[bool, typer.Option("--go-on", hidden=True)] = False,  # the former name of --resume
    verbose: VerboseOption = False,
) -> None:
    """Run a study and print its table.

    Example: noisy-study run quickstart --name short --set 'seeds=[0, 1, 2]'
    """
    check_job_environment()
    if (study is None) == (from_run is None):
        raise UserError("give a recipe, a study file, or --from-run RUN_ID, and only one of them")
    if study is not None:
        config = study_of(study, settings or (), name)
    else:
        config = _tracked_study(str(from_run), settings, name)
    if extend_existing:
        find_study(config.name)
        _run_to_table(config, data_root, address, verbose, extends=True)
        return
    resumes = (resume_existing or go_on) and exists_already(config)
    _run_to_table(config, data_root, address, verbose, resumes)


def resume(
    name: NameArgument,
    data_root: DataRootOption = None,
    address: AddressOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Resume an interrupted study and print its table.

    Example: noisy-study resume quickstart
    """
    _run_to_table(started_study(find_study(name)), data_root, address, verbose, resumes=True)


def extend(
    name: NameArgument,
    settings: SetOption = None,
    data_root: DataRootOption = None,
    address: AddressOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Extend a study with more seeds, arms, searched trials or confirmed points, and print its table.

    Example: noisy-study extend short --set 'seeds=[0, 1, 2, 3, 4]'
    """
    _run_to_table(larger_study(find_study(name), settings or ()), data_root, address, verbose, extends=True)


def _run_to_table(
    config: StudyConfig,
    data_root: Path | None,
    address: str | None,
    verbose: bool,
    resumes: bool = False,
    extends: bool = False,
) -> None:
    """Run, resume or extend with the live display, then print the table and how to browse the trials."""

    def interrupted() -> str:
        return f"interrupted; resume it with: noisy-study resume {config.name}" if folder.exists() else "interrupted"

    folder = StudyFolder(DEFAULT_ROOT, config.name)
    try:
        with interruptible(interrupted), copies_in(folder.code if folder.exists() else None):
            # Ray and PyTorch take seconds to load.
            from study.launch import run_study, settings_of
            from study.terminal.progress import TerminalProgress

            settings = settings_of(config.name, data_root, address, verbose)
            progress = TerminalProgress(config, errors, lines=environment.is_job())
            study = config.name if resumes else config
            run_study(study, settings, progress, extends=extends, say=say, show=print_table)
    except KeyboardInterrupt:
        raise Interrupted(interrupted()) from None
    except (NothingFound, Undelivered, TrackingUnavailable, StorageFull):
        raise
    except StudyFailed as error:
        hint = f"; after the cause is fixed: noisy-study resume {config.name}" if folder.exists() else ""
        raise StudyFailed(f"{error}{hint}") from None
    errors.print(f"\nverdict and figures as a page: noisy-study report {config.name}", soft_wrap=True)
    errors.print(f"browse the trials: noisy-study ui   (experiment {config.name})", soft_wrap=True)


def print_table(tracked: "TrackedStudy") -> None:
    """The table of a study on standard output, and nothing else."""
    from study.results.render import render
    from study.results.table import table_of

    with unread_output_allowed():
        print(render(table_of(tracked)), flush=True)  # noqa: T201 - the table and nothing else


def _tracked_study(run_id: str, overrides: list[str] | None, name: str | None) -> StudyConfig:
    from study.results.artifacts import read_study_file

    return parse_study(read_study_file(tracking_uri(), run_id), f"run {run_id}", overrides or (), name)
