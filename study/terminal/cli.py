"""The command line: parses, calls, prints.

Exit status: 0 done; 1 the study failed; 2 the command or the study file is wrong; 130 interrupted, resumable. What a
user can cause is one line on standard error; a traceback is a bug. Nothing heavy is imported before it is needed.
"""

import ipaddress
import json
import os
import re
import secrets
import subprocess
import sys
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as RichTable

from search_spaces.library import recipe_names, recipe_text
from study.cluster.jobs import DEFAULT_ADDRESS, check_surroundings, in_a_job
from study.config import StudyConfig, dump_study, parse_study, read_text
from study.environment import data_root_of, optuna_storage, study_of, tracking_uri_of
from study.errors import Interrupted, NothingFound, StudyFailed, Undelivered, UserError
from study.interrupts import INTERRUPTED, end_at_once, interruptible
from study.storage import DEFAULT_ROOT, StudyFolder, can_be_study_name, write_whole
from study.tracking.address import bound_requests, without_credentials
from study.tracking.address import tracking_uri as default_tracking_uri

if TYPE_CHECKING:
    from study.cluster.jobs import Jobs

app = typer.Typer(
    help="Search how much noise a teacher should carry so that a small student errs least.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
errors = Console(stderr=True)


class ExportFormat(StrEnum):
    """What a student is written as."""

    onnx = "onnx"
    torch = "torch"


class Format(StrEnum):
    """How a table is written."""

    text = "text"
    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"
    html = "html"


def _recipes_that_begin(incomplete: str) -> list[str]:
    return [name for name in recipe_names() if name.startswith(incomplete)]


def _studies_that_begin(incomplete: str) -> list[str]:
    return [name for name in _local_studies() if name.startswith(incomplete)]


StudyArgument = Annotated[
    str,
    typer.Argument(metavar="RECIPE|FILE", help="a recipe's name, or a study file", autocompletion=_recipes_that_begin),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="a study's name", autocompletion=_studies_that_begin)]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="a dotted key and a YAML value; may be given again"),
]
DataRootOption = Annotated[
    Path | None, typer.Option("--data-root", help="where data sets lie and are downloaded to [env: NOISY_STUDY_DATA]")
]
AddressOption = Annotated[str | None, typer.Option(help="a running Ray cluster", envvar="RAY_ADDRESS")]
JobsOption = Annotated[
    str,
    typer.Option(
        "--address", metavar="URL", help="a cluster's dashboard", envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"]
    ),
]
JobArgument = Annotated[str, typer.Argument(metavar="ID", help="a job's id, as `submit` and `jobs` print it")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="let Ray and MLflow speak too")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON alone on standard output")]


# ------------------------------------------------------------------------------------------------ recipes and files


@app.command("ls")
def list_recipes(as_json: JsonOption = False) -> None:
    """List the recipes."""
    rows = [_recipe_row(name) for name in recipe_names()]
    if as_json:
        _print_json(rows)
        return
    out = _standard_output()
    columns = ["name", "dataset", "teachers", "students", "trials", "reproduces"]
    left_out = ["teachers"] * (out.width < 120) + ["students"] * (out.width < 90) + ["reproduces"] * (out.width < 70)
    table = RichTable(box=None, pad_edge=False)
    for column in (shown := [column for column in columns if column not in left_out]):
        table.add_column("recipe" if column == "name" else column, no_wrap=column == "name")
    for row in rows:
        table.add_row(*(str(row[column]) for column in shown))
    out.print(table)
    if left_out:
        _say(f"too wide for this terminal: {', '.join(left_out)}", 0)


@app.command("cp")
def copy_recipe(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", autocompletion=_recipes_that_begin)],
    file: Annotated[Path, typer.Argument(metavar="FILE")],
) -> None:
    """Copy a recipe to a file, to edit it."""
    text = recipe_text(recipe)
    if os.path.lexists(file):
        raise UserError(f"{file} exists already; choose another name")
    write_whole(file, lambda path: path.write_text(text, encoding="utf-8"))
    errors.print(f"wrote {file}; edit it, then: noisy-study run {file}", highlight=False)


@app.command()
def validate(study: StudyArgument, settings: SetOption = None, data_root: DataRootOption = None) -> None:
    """Try what every stage will build, and print the study file with every default that has an effect."""
    config = study_of(study, settings or ())
    from study.data.load import describe_dataset
    from study.planning.advice import search_advice
    from study.planning.check import check_study

    check_study(config, describe_dataset(config.data, data_root_of(data_root)))
    from study.running.bf16 import slow_precision, trains_in_bf16_on_cpus

    if trains_in_bf16_on_cpus(config):
        from study.distill.processor import measured_processor  # loads PyTorch, which other studies need not wait for

        _say(slow_precision(config, measured_processor()) or "", 0)
    for line in search_advice(config):
        _say(line, 0)
    print(dump_study(config), end="")  # noqa: T201 - a study file and nothing else


@app.command()
def net(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="a name of the zoo, or a line of notation")],
    teacher: Annotated[str | None, typer.Option(help="a network to compare with")] = None,
    shape: Annotated[
        str | None, typer.Option("--input", help="CxHxW of an image, for a line of notation, e.g. 3x32x32")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a network is: layers, shapes, parameters, multiplications, compression."""
    from models.cost import compression_ratio, network_cost
    from models.notation import NotationError

    try:
        size = _shape(shape)
        counted = network_cost(network, size)
        ratio = None if teacher is None else compression_ratio(network_cost(teacher, size), counted)
    except NotationError as error:
        raise UserError(str(error)) from None
    layers = [
        {
            "name": layer.name,
            "layer": layer.token,
            "output_shape": list(layer.output_shape),
            "parameters": layer.parameters,
            "multiplications": layer.multiplications,
        }
        for layer in counted.layers
    ]
    if as_json:
        _print_json(
            {
                "network": network,
                "multiplications": counted.multiplications,
                "parameters": counted.parameters,
                "bytes": counted.bytes,
                "teacher": teacher,
                "compression_ratio": ratio,
                "layers": layers,
            }
        )
        return
    table = RichTable(box=None, pad_edge=False)
    table.add_column("layer", overflow="fold")
    for column in ("output", "parameters", "multiplications"):
        table.add_column(column, justify="right")
    for layer in counted.layers:
        output = "×".join(map(str, layer.output_shape))
        table.add_row(layer.token, output, f"{layer.parameters:,}", f"{layer.multiplications:,}")
    table.add_section()
    table.add_row("all", f"{counted.bytes:,} bytes", f"{counted.parameters:,}", f"{counted.multiplications:,}")
    out = _standard_output()
    out.print(table)
    if ratio is not None:
        out.print(f"{ratio:.2f} times fewer multiplications than {teacher}", highlight=False)


# ---------------------------------------------------------------------------------------------------------- studies


@app.command()
def run(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE|FILE", help="a recipe's name, or a study file", autocompletion=_recipes_that_begin
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="the study's name, instead of the file's")] = None,
    settings: SetOption = None,
    data_root: DataRootOption = None,
    address: AddressOption = None,
    from_run: Annotated[str | None, typer.Option("--from-run", help="take the study file of a tracked study")] = None,
    go_on: Annotated[bool, typer.Option("--go-on", help="where the study exists already, go on with it")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Run a study and print its table."""
    check_surroundings(os.environ)
    if (study is None) == (from_run is None):
        raise UserError("give a recipe, a study file, or --from-run RUN_ID, and only one of them")
    if study is not None:
        config = study_of(study, settings or (), name)
    else:
        config = _tracked_study(str(from_run), settings, name)
    resuming = go_on and StudyFolder(DEFAULT_ROOT, config.name).exists()
    if resuming:
        _check_same(config)
    _drive(config, data_root, address, verbose, resuming)


@app.command()
def resume(
    name: NameArgument,
    data_root: DataRootOption = None,
    address: AddressOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Go on with an interrupted study and print its table."""
    from study.running.service import find_study

    folder = find_study(name)
    config = parse_study(read_text(folder.study_file), str(folder.study_file))
    _drive(config, data_root, address, verbose, resuming=True)


@app.command()
def status(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="a study's name; all of them without", autocompletion=_studies_that_begin),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="again every two seconds, until it is finished")] = False,
) -> None:
    """Show trials done, running, pruned and failed, and the best so far."""
    from study.results.status import study_status, watch_status

    names = [name] if name is not None else _local_studies()
    if not names:
        raise UserError(f"no studies in {DEFAULT_ROOT / 'studies'}; `noisy-study run quickstart` makes one")
    # Of all studies here, each is asked for where it was begun; one by its name, where the environment says.
    if name is not None:
        uris = {name: tracking_uri_of(name)}
    else:
        uris = {each: StudyFolder(DEFAULT_ROOT, each).tracking_uri() or tracking_uri_of(each) for each in names}
    if watch:
        watch_status(uris, _standard_output())
    else:
        _standard_output().print(study_status(uris))


@app.command()
def sync(name: NameArgument) -> None:
    """Deliver what an outage kept from the tracking server."""
    from study.running import service

    settings = service.Settings(tracking_uri_of(name), data_root_of())
    delivered = service.sync(name, settings)
    said = f"{delivered} events delivered" if delivered else "nothing waited"
    errors.print(f"{said}; the tracking server has all of study {name}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def table(name: NameArgument, format: Annotated[Format, typer.Option("--format")] = Format.text) -> None:
    """Print the improvement-over-baseline table, read off the tracking server."""
    from study.results.render import render
    from study.results.table import build_table

    print(render(build_table(tracking_uri_of(name), name), format.value))  # noqa: T201 - the table and nothing else


@app.command()
def report(
    name: NameArgument,
    out: Annotated[Path | None, typer.Option("--out", help="the folder to write to; NAME-report without")] = None,
) -> None:
    """Write tables and pictures as one HTML page, which the study's run keeps too."""
    from study.results.report import default_folder, write_report

    written = write_report(tracking_uri_of(name), name, out or default_folder(name))
    errors.print(f"wrote {written.page}, and the pictures beside it", highlight=False, markup=False, soft_wrap=True)
    if written.not_logged is not None:
        said = f"the study's run does not keep it: {written.not_logged}"
        errors.print(said, highlight=False, markup=False, soft_wrap=True)


@app.command()
def export(
    name: NameArgument,
    out: Annotated[Path, typer.Option("--out", help="the folder to write to")],
    format: Annotated[ExportFormat, typer.Option("--format")] = ExportFormat.onnx,
    int8: Annotated[bool, typer.Option("--int8", help="an ONNX file with 8-bit weights too")] = False,
    data_root: DataRootOption = None,
) -> None:
    """Write the best student, tried on the whole test set, and its model card."""
    from study.export.files import export_student

    done = export_student(tracking_uri_of(name), name, out, DEFAULT_ROOT, data_root_of(data_root), format.value, int8)
    for line in [*(str(file) for file in done.files), f"wrote {out}; what it is: {done.card}"]:
        _say(line, 0)


# ------------------------------------------------------------------------------------------------- a remote cluster


@app.command()
def submit(
    study: StudyArgument,
    name: Annotated[str | None, typer.Option(help="the study's name, instead of the file's")] = None,
    settings: SetOption = None,
    address: JobsOption = DEFAULT_ADDRESS,
    follow: Annotated[bool, typer.Option("--follow/--no-wait", help="show what the job says until it ends")] = True,
) -> None:
    """Run a study on a Ray cluster, or go on with it there."""
    config = study_of(study, settings or (), name)
    from study.cluster.jobs import Jobs
    from study.cluster.shipment import pack
    from study.data.dataset import DatasetFacts
    from study.data.load import describe_dataset
    from study.planning.check import check_study

    # An image folder lies on the cluster, so what it holds is not known here.
    facts = DatasetFacts(None, None) if config.data.path else describe_dataset(config.data, data_root_of())
    check_study(config, facts, runs_here=False)
    shipment = pack(config, Path.cwd())
    jobs = Jobs(address)
    for note in shipment.notes:
        _say(note, 0)
    job_id = jobs.submit(shipment)
    _say(f"job {job_id}; follow it with: noisy-study logs {job_id} --follow", 0)
    if follow:
        _follow(jobs, job_id)


@app.command("jobs")
def list_jobs(address: JobsOption = DEFAULT_ADDRESS, as_json: JsonOption = False) -> None:
    """List the studies' jobs of a cluster."""
    from study.cluster.jobs import Jobs

    found = Jobs(address).list()
    if as_json:
        _print_json([job.as_json() for job in found])
        return
    table = RichTable(box=None, pad_edge=False)
    for column in ("job", "study", "status", "started", "ended"):
        table.add_column(column, overflow="fold")
    for job in found:
        times = ("" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S}" for time in (job.started, job.ended))
        table.add_row(job.id, job.study, job.status.lower(), *times)
    _standard_output().print(table)


@app.command()
def logs(
    job_id: JobArgument,
    address: JobsOption = DEFAULT_ADDRESS,
    follow: Annotated[bool, typer.Option("--follow", help="until it ends; then with its exit status")] = False,
) -> None:
    """Print what a job said."""
    from study.cluster.jobs import Jobs

    jobs = Jobs(address)
    if follow:
        _follow(jobs, job_id)
    else:
        print(jobs.logs(job_id), end="")  # noqa: T201 - the log and nothing else


@app.command()
def stop(job_id: JobArgument, address: JobsOption = DEFAULT_ADDRESS) -> None:
    """Stop a job; its study can be gone on with."""
    from study.cluster.jobs import Jobs

    stopped = Jobs(address).stop(job_id)
    _say(f"job {job_id} is {'stopping; to go on, submit its study again' if stopped else 'over already'}", 0)


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="where to listen")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="the port", min=1, max=65535)] = 5000,
    auth: Annotated[bool, typer.Option("--auth", help="ask for user and password (docs/security.md)")] = False,
) -> None:
    """Open the MLflow UI on the current store."""
    from study.tracking.view import pages

    uri = default_tracking_uri()
    if uri.startswith("http"):
        errors.print(f"the tracking server has its own UI: {without_credentials(uri)}", highlight=False)
        return
    if not auth and not _is_loopback(host):
        raise UserError(
            f"--host {host}: whoever reaches this address could change every run; add --auth to have them asked for "
            "user and password"
        )
    # Addresses and secrets travel in the environment and not among the arguments, which everybody here can read.
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    if auth:
        environment |= _auth_environment()
        command += ["--app-name", "basic-auth"]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    studies = pages(uri)
    for line in [f"MLflow on {address} (Ctrl-C ends it)", *(f"{name}: {address}/{studies[name]}" for name in studies)]:
        errors.print(line, highlight=False, markup=False, soft_wrap=True)
    # What it makes (the users' database is one) is nobody else's where it has a login.
    served = subprocess.run(command, env=environment, check=False, umask=0o077 if auth else -1)
    raise typer.Exit(served.returncode)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _auth_environment() -> dict[str, str]:
    """What MLflow's login needs beside the environment as it is.

    Raises:
        UserError: its package is not there, or a new store of users would have no good password.
    """
    if find_spec("flask_wtf") is None:
        raise UserError("--auth: MLflow's login is not installed; pip install 'mlflow[auth]'")
    password = os.environ.get("MLFLOW_AUTH_ADMIN_PASSWORD", "")
    makes_users = not os.environ.get("MLFLOW_AUTH_CONFIG_PATH") and not os.path.exists("basic_auth.db")
    if (makes_users or password) and len(password) < 12:
        raise UserError(
            "--auth: set MLFLOW_AUTH_ADMIN_PASSWORD to 12 characters or more; it becomes the password of the user "
            "`admin` when the store of users, basic_auth.db, is made"
        )
    # It signs forms of the sign-up page; a new one at each start only makes an open page be loaded again.
    return {"MLFLOW_FLASK_SERVER_SECRET_KEY": os.environ.get("MLFLOW_FLASK_SERVER_SECRET_KEY") or secrets.token_hex(32)}


# --------------------------------------------------------------------------------------------------------- plumbing


def _drive(config: StudyConfig, data_root: Path | None, address: str | None, verbose: bool, resuming: bool) -> None:
    """Run or resume with the live display, then print the table and where to browse."""

    def interrupted() -> str:
        exists = StudyFolder(DEFAULT_ROOT, config.name).exists()
        return f"interrupted; go on with: noisy-study resume {config.name}" if exists else "interrupted"

    try:
        with interruptible(interrupted):
            from study.export.keep import keep_results
            from study.results.read import read_study
            from study.results.render import render
            from study.results.table import table_of
            from study.running import service
            from study.terminal.progress import TerminalProgress

            settings = service.Settings(
                tracking_uri_of(config.name),
                data_root_of(data_root),
                optuna_storage(),
                address=address,
                verbose=verbose,
            )
            with TerminalProgress(config, errors, lines=in_a_job(os.environ)) as progress:
                if resuming:
                    dataset = service.resume(config.name, settings, progress)
                else:
                    dataset = service.start(config, settings, progress)
            tracked = read_study(settings.tracking_uri, config.name)
            print(render(table_of(tracked)), flush=True)  # noqa: T201 - the table and nothing else
            for line in keep_results(settings.tracking_uri, tracked, settings.root, settings.data_root, dataset):
                _say(line, 0)
    except KeyboardInterrupt:
        raise Interrupted(interrupted()) from None
    except (NothingFound, Undelivered):
        raise
    except StudyFailed as error:
        raise StudyFailed(f"{error}; when mended: noisy-study resume {config.name}") from None
    errors.print(f"\nbrowse the trials: noisy-study ui   (experiment {config.name})", highlight=False)


def _check_same(config: StudyConfig) -> None:
    """Whether this is the study that exists by its name."""
    file = StudyFolder(DEFAULT_ROOT, config.name).study_file
    there = parse_study(read_text(file), str(file)).model_dump()
    differs = [key for key, value in config.model_dump().items() if value != there[key]]
    if differs:
        raise UserError(
            f"study {config.name} was begun with another study file (it differs in {', '.join(differs)}); submit that "
            "one again, or choose another name with --name"
        )


def _follow(jobs: "Jobs", job_id: str) -> None:
    """Print a job's log as it grows, and end as the job does."""
    try:
        for piece in jobs.follow(job_id):
            print(piece, end="", flush=True)  # noqa: T201 - the log and nothing else
    except KeyboardInterrupt:
        raise Interrupted(
            f"the job goes on: noisy-study logs {job_id} --follow shows it, noisy-study stop {job_id} ends it"
        ) from None
    job = jobs.get(job_id)
    if job.status == "STOPPED":
        raise Interrupted(f"job {job_id} was stopped; to go on, submit its study again")
    if job.status == "FAILED" and job.exit_status is None:
        raise StudyFailed(f"job {job_id} failed: {job.message[:300]}; to go on, submit its study again")
    if job.status == "FAILED":  # its last line says why
        raise typer.Exit(job.exit_status if job.exit_status in (2, 130) else 1)


def _tracked_study(run_id: str, overrides: list[str] | None, name: str | None) -> StudyConfig:
    from study.results.artifacts import read_study_file

    return parse_study(read_study_file(default_tracking_uri(), run_id), f"run {run_id}", overrides or (), name)


def _recipe_row(name: str) -> dict[str, Any]:
    from study.planning import plan

    config = parse_study(recipe_text(name), name)
    grid = plan.grid_trials(config)
    trials = [f"{len(grid) // len(config.seeds)} points × {len(config.seeds)} seeds"] if grid else []
    if config.search is not None:
        trials.append(f"{config.search.trials} searched")
    students = dict.fromkeys([config.student.network, *(trial.network for trial in grid)])
    return {
        "name": name,
        "dataset": config.data.name,
        "teachers": ", ".join(trial.network for trial in plan.teacher_trials(config)),
        "students": ", ".join(students),
        "trials": " + ".join(trials),
        "reproduces": config.published or "",
    }


def _local_studies() -> list[str]:
    found = (path.parent.name for path in (DEFAULT_ROOT / "studies").glob("*/study.yaml"))
    return sorted(filter(can_be_study_name, found))


def _shape(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(re.fullmatch("0{0,99}[1-9][0-9]{0,5}", part) for part in parts):
        raise UserError(f"--input {text[:100]}: expected channels x height x width, for instance 3x32x32")
    return int(parts[0]), int(parts[1]), int(parts[2])


def _standard_output() -> Console:
    """As wide as the terminal; what is piped is wide enough that nothing is cut, unless `COLUMNS` says how wide."""
    from study.results.render import PIPED_WIDTH

    return Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=PIPED_WIDTH)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - JSON and nothing else


def main() -> None:
    """The entry point: one line and a status for everything a user can cause."""
    bound_requests()
    status = 0
    try:
        status = app(standalone_mode=False) or 0
    except UserError as error:
        status = _say(str(error), 2)
    except typer.TyperException as error:
        message = error.format_message() if isinstance(error, typer.BadParameter) else str(error)
        status = _say(f"{message} (see noisy-study --help)" if message else "", 2)
    except StudyFailed as error:
        status = _say(str(error), 1)
    except Interrupted as error:
        end_at_once(str(error), INTERRUPTED)  # all is wound down; Python's own end takes seconds with these libraries
    except (KeyboardInterrupt, typer.Abort):
        status = _say("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # a file or folder that the user named, or the disk below it
        status = _say(f"{error.filename or 'the system'}: {error.strerror or error}", 2)
    sys.exit(status)


def _say(message: str, status: int) -> int:
    if message:
        errors.print(" ".join(message.split()), highlight=False, markup=False, soft_wrap=True)
    return status


if __name__ == "__main__":
    main()
