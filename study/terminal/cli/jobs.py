"""`submit`, `jobs`, `logs` and `stop`: studies on a running Ray cluster."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from study import environment
from study.cluster.jobs import DEFAULT_ADDRESS
from study.errors import Interrupted, StudyFailed
from study.lookup import study_of
from study.terminal.cli.options import (
    JobArgument,
    JobsAddressOption,
    JsonOption,
    NameOption,
    SetOption,
    StudyArgument,
)
from study.terminal.cli.output import print_json, say, standard_output

if TYPE_CHECKING:
    from study.cluster.jobs import Jobs


def submit(
    study: StudyArgument,
    name: NameOption = None,
    settings: SetOption = None,
    address: JobsAddressOption = DEFAULT_ADDRESS,
    extends: Annotated[
        bool, typer.Option("--extend", help="extend the study of this name to this larger study file")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow/--no-wait", help="print the output of the job until it ends")
    ] = True,
) -> None:
    """Run a study on a Ray cluster, or resume or extend it there.

    Example: noisy-study submit mnist-search --address http://HOST:8265
    """
    config = study_of(study, settings or (), name)
    from study.cluster.jobs import Jobs
    from study.cluster.shipment import prepare

    shipment = replace(prepare(config, Path.cwd(), environment.data_root()), extends=extends)
    jobs = Jobs(address)
    for note in shipment.notes:
        say(note)
    job_id = jobs.submit(shipment)
    say(f"job {job_id}; follow it with: noisy-study logs {job_id} --follow")
    if follow:
        _follow(jobs, job_id)


def list_jobs(address: JobsAddressOption = DEFAULT_ADDRESS, as_json: JsonOption = False) -> None:
    """List the studies' jobs of a cluster.

    Example: noisy-study jobs --address http://HOST:8265
    """
    from study.cluster.jobs import Jobs

    found = Jobs(address).list()
    if as_json:
        print_json([job.as_json() for job in found])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("job", "study", "status", "started", "ended"):
        table.add_column(column, overflow="fold")
    for job in found:
        times = ("" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S}" for time in (job.started, job.ended))
        table.add_row(job.id, job.study, job.status.lower(), *times)
    standard_output().print(table)


def logs(
    job_id: JobArgument,
    address: JobsAddressOption = DEFAULT_ADDRESS,
    follow: Annotated[
        bool, typer.Option("--follow", help="print until the job ends, and return its exit status")
    ] = False,
) -> None:
    """Print the log of a job.

    Example: noisy-study logs ID --address http://HOST:8265
    """
    from study.cluster.jobs import Jobs

    jobs = Jobs(address)
    if follow:
        _follow(jobs, job_id)
    else:
        print(jobs.logs(job_id), end="")  # noqa: T201 - the log and nothing else


def stop(job_id: JobArgument, address: JobsAddressOption = DEFAULT_ADDRESS) -> None:
    """Stop a job; its study can be resumed.

    Example: noisy-study stop ID --address http://HOST:8265
    """
    from study.cluster.jobs import Jobs

    stopped = Jobs(address).stop(job_id)
    say(f"job {job_id} {'is stopping; to resume its study, submit it again' if stopped else 'has ended already'}")


def _follow(jobs: "Jobs", job_id: str) -> None:
    """Print a job's log as it grows, and exit with the job's status."""
    try:
        for piece in jobs.follow(job_id):
            print(piece, end="", flush=True)  # noqa: T201 - the log and nothing else
    except KeyboardInterrupt:
        raise Interrupted(
            f"the job is still running: noisy-study logs {job_id} --follow shows it, noisy-study stop {job_id} stops it"
        ) from None
    job = jobs.get(job_id)
    if job.status == "STOPPED":
        raise Interrupted(f"job {job_id} was stopped; to resume its study, submit it again")
    if job.status == "FAILED" and job.exit_status is None:
        raise StudyFailed(f"job {job_id} failed: {job.message[:300]}; to resume its study, submit it again")
    if job.status == "FAILED":  # its last line says why
        raise typer.Exit(job.exit_status if job.exit_status in (2, 130) else 1)
