"""Small studies, run as a user runs them, hit as machines are hit, and compared with what they would have been."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import psutil
import yaml

from study.results.render import render
from study.results.table import build_table
from study.tracking import schema

NOISY_STUDY = str(Path(sys.executable).with_name("noisy-study"))
ELSEWHERE = ("MLFLOW_TRACKING_URI", "NOISY_STUDY_DATA", "OPTUNA_STORAGE", "RAY_ADDRESS")
HERE = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
PATIENCE = 600.0
"""Seconds that anything may take on a machine with much else to do."""

SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"name": "digits"},
    "teachers": [{"network": "FC10", "train": {"epochs": 2}}],
    "student": {"network": "FC10"},
    "train": {"epochs": 15, "batch_size": 8, "patience": 0},
    "arms": [{"method": "noisy_teacher", "sigma": [0.2, {"uniform": [0.01, 1.0]}]}],
    "seeds": [0, 1],
    "resources": {"workers": 1},
}
"""Six trials of a second or two, one after another."""

WIDE: dict[str, Any] = {
    **SMALL,
    "name": "wide",
    "student": {"network": "FC1000-D0.2-FC1000-FC10"},
    "train": {"epochs": 24, "batch_size": 32, "patience": 12},
    "arms": [{"method": "noisy_teacher", "sigma": 0.5}],
}
"""Four trials with checkpoints of 17 MB, whose writing takes long enough to be hit; early stopping goes on too."""

Document = dict[str, Any]


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE, every: float = 0.02) -> None:
    """Poll until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds:g} s: {what}"
        time.sleep(every)


Launch = Callable[[Sequence[str], Path, Mapping[str, str], IO[str], IO[str]], Any]
"""Starts a command: its words, folder, environment, standard output and standard error. It returns a
`subprocess.Popen`, or what has its methods."""


def command(words: Sequence[str], folder: Path, environment: Mapping[str, str], out: IO[str], err: IO[str]) -> Any:
    """`noisy-study` with these words, in a session of its own."""
    return subprocess.Popen(
        [NOISY_STUDY, *words],
        cwd=folder,
        env={**HERE, **environment},
        stdout=out,
        stderr=err,
        start_new_session=True,
    )


launched: Launch = command
"""How studies start their commands if they are not given a way. The tests of faults set a server that forks."""


PROGRESS = re.compile(r"[a-z]+(-[0-9]+)?: [0-9]+ (of [0-9]+ )?trials?,? |teacher [^ ]+: epoch [0-9]+ of ")
"""The lines about progress that a command prints where there is no terminal."""


class Driver:
    """A `noisy-study` command in a session of its own, as in a terminal, and the processes of its Ray.

    Args:
        folder: where it runs, and where its output goes.
        words: of its command line.
        environment: beside this machine's.
        launch: starts the command.
    """

    def __init__(
        self, folder: Path, *words: str, environment: Mapping[str, str], launch: "Launch | None" = None
    ) -> None:
        self._out, self._err = (folder / f"{words[0]}-{time.monotonic_ns()}.{kind}" for kind in ("out", "err"))
        # Files and no pipes: whatever outlives the command would hold a pipe open.
        with open(self._out, "w") as out, open(self._err, "w") as err:
            self._command = (launch or launched)(words, folder, environment, out, err)
        self.process = psutil.Process(self._command.pid)
        self._seen: set[psutil.Process] = set()

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        """Without the lines about progress, which have their own tests."""
        lines = self._err.read_text().splitlines(keepends=True)
        return "".join(line for line in lines if not PROGRESS.match(line))

    @property
    def running(self) -> bool:
        return self._command.poll() is None

    def ray(self) -> list[psutil.Process]:
        """Every process of its Ray, the raylet's workers included."""
        try:
            found: list[psutil.Process] = self.process.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self._seen.update(found)
        return found

    def server(self, name: str) -> psutil.Process:
        """`raylet`, or the head's `gcs_server`."""
        return next(process for process in self.ray() if _is_named(process, name))

    def workers(self, busy: bool | None = None) -> list[psutil.Process]:
        """Those that hold a trial's actor; `busy` in a step, or between two."""
        titles = ((process, title_of(process)) for process in self.ray())
        actors = [
            (process, title)
            for process, title in titles
            if title.startswith("ray::") and re.search("Trainable|Lanes", title)
        ]
        return [process for process, title in actors if busy is None or busy == (".train" in title)]

    def until(self, condition: Callable[[], object], what: str, every: float = 0.02) -> None:
        """Poll until something is so; the command must not end before."""

        def so() -> object:
            now = condition()
            assert now or self.running, f"the command ended before {what}: {self.stderr}"
            return now

        wait_for(so, what, every=every)

    def signal(self, number: signal.Signals) -> None:
        self._command.send_signal(number)

    def ctrl_c(self) -> None:
        """What a terminal does: SIGINT to everything in the foreground."""
        self.signal_group(signal.SIGINT)

    def signal_group(self, number: int) -> None:
        """A signal to its process group, as a shell, a terminal that closes and `timeout` send it."""
        os.killpg(self._command.pid, number)

    def signal_all(self, number: int) -> None:
        """A signal to it and every process of its Ray, as systemd and Slurm send it to all processes of a job."""
        for process in [*self.ray(), self.process]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def ends(self, within: float = PATIENCE) -> int:
        """Its exit status."""
        status: int = self._command.wait(within)
        return status

    def finishes(self) -> None:
        """Assert that it comes to its table, and prints nothing else."""
        assert self.ends() == 0, self.stderr
        assert re.match(r"\S+: improvement over the baseline\n", self.stdout)
        assert "(raylet)" not in self.stdout

    def kill(self) -> None:
        """`kill -9` of the command alone; its Ray ends by itself a moment later."""
        left = self.ray()
        self._command.kill()
        self._command.wait()
        psutil.wait_procs([process for process in left if _is_named(process, "raylet")], PATIENCE)

    def kill_all(self) -> None:
        """`kill -9` of the command and of its whole Ray at once."""
        everything = [self.process, *self.ray()]  # the command first: it would notice that Ray is gone
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._command.wait()
        psutil.wait_procs(everything[1:], PATIENCE)

    def close(self) -> None:
        """Leave nothing behind."""
        self.ray()
        if self.running:
            self._command.kill()
            self._command.wait()
        for process in self._seen:
            kill(process)


def title_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _is_named(process: psutil.Process, name: str) -> bool:
    """False for a process that has ended."""
    try:
        return bool(process.name() == name)
    except psutil.NoSuchProcess:
        return False


def kill(process: psutil.Process) -> None:
    """`kill -9`, and wait until it is gone."""
    try:
        process.kill()
        process.wait(PATIENCE)
    except psutil.NoSuchProcess:
        return


class Study:
    """One study in a folder of its own, or beside another in the same one.

    Args:
        folder: made if it is not there.
        document: the study file.
        server: address of the tracking server; without, a store in the folder.
        launch: starts its commands.
    """

    def __init__(
        self, folder: Path, document: Document, server: str | None = None, launch: Launch | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name, self._launch = folder, str(document["name"]), launch
        self.uri = server or f"sqlite:///{folder / 'mlflow.db'}"
        self._environment = {} if server is None else {"MLFLOW_TRACKING_URI": server}
        self.file = folder / f"{self.name}.yaml"
        self.file.write_text(yaml.safe_dump(document))

    @property
    def trials(self) -> Path:
        return self.folder / ".noisy-study" / "studies" / self.name / "trials"

    @contextmanager
    def command(self, *words: str) -> Iterator[Driver]:
        driver = self.open(*words)
        try:
            yield driver
        finally:
            driver.close()

    def open(self, *words: str) -> Driver:
        """Start a command on it; close it afterwards."""
        return Driver(self.folder, *words, environment=self._environment, launch=self._launch)

    def start(self, *words: str) -> Any:
        """`run` it, as a context."""
        return self.command("run", self.file.name, *words)

    def finish(self, *words: str) -> Driver:
        """Run a command on it to its end."""
        with self.command(*words) as driver:
            driver.finishes()
        return driver

    def weights(self) -> dict[str, bytes]:
        """The weights of every trial, by its id."""
        return {file.parent.name: file.read_bytes() for file in self.trials.glob("*/weights.safetensors")}

    def table(self) -> list[dict[str, Any]]:
        """The rows of its JSON table."""
        rows: list[dict[str, Any]] = json.loads(render(build_table(self.uri, self.name), "json"))["rows"]
        return rows

    def tracked(self) -> "Tracked":
        return Tracked(self.uri, self.name)


class Tracked:
    """What the tracking server holds of a study."""

    def __init__(self, uri: str, study: str) -> None:
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(study)
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        self.statuses = Counter(run.info.status for run in runs)
        trials = [run for run in runs if schema.TRIAL_ID in run.data.tags]
        self.runs = Counter(run.data.tags[schema.TRIAL_ID] for run in trials)
        self.outcomes = {run.data.tags[schema.TRIAL_ID]: run.data.tags.get(schema.OUTCOME) for run in trials}
        self.test_errors = {run.data.tags[schema.TRIAL_ID]: run.data.metrics.get(schema.TEST_ERROR) for run in trials}
        self.epochs = {
            run.data.tags[schema.TRIAL_ID]: [
                metric.step for metric in client.get_metric_history(run.info.run_id, schema.VAL_ERROR)
            ]
            for run in trials
        }


@dataclass(frozen=True)
class Harm:
    """What a fault did to a study, in trials."""

    lost: int
    doubled: int
    changed: int


@dataclass(frozen=True)
class Kept:
    """What a study left: its tracked runs, the weights of every trial by its id, and the rows of its table."""

    tracked: Tracked
    weights: dict[str, bytes]
    table: list[dict[str, Any]]

    @classmethod
    def of(cls, study: Study) -> "Kept":
        return cls(study.tracked(), study.weights(), study.table())


def harm(study: Study, undisturbed: Study, beside: Collection[str] = ()) -> Harm:
    """Compare with the same study undisturbed: tracked runs, epochs, test errors, and the bytes of all weights.

    Args:
        beside: trials that only the disturbed study has.
    """
    return harm_of(Kept.of(study), Kept.of(undisturbed), beside)


def harm_of(kept: Kept, undisturbed: Kept, beside: Collection[str] = ()) -> Harm:
    """The same, of what both studies left."""
    found, right = kept.tracked, undisturbed.tracked

    def doubled(trial: str) -> bool:
        epochs = found.epochs[trial]
        return found.runs[trial] > 1 or len(set(epochs)) < len(epochs) or trial not in {*right.runs, *beside}

    def changed(trial: str) -> bool:
        return (
            found.epochs.get(trial) != right.epochs[trial]
            or found.test_errors.get(trial) != right.test_errors[trial]
            or kept.weights.get(trial) != undisturbed.weights.get(trial)
        )

    return Harm(
        lost=sum(found.outcomes.get(trial) != right.outcomes[trial] for trial in right.runs),
        doubled=sum(map(doubled, found.runs)),
        changed=sum(map(changed, right.runs)),
    )


def tally(fault: str, injected: int, trials: int, done: Harm) -> None:
    """Write down what a fault did, where the environment variable `FAULT_TALLY` names a file of JSON lines."""
    if os.environ.get("FAULT_TALLY"):
        line = {"fault": fault, "injected": injected, "trials": trials, **asdict(done)}
        with open(os.environ["FAULT_TALLY"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def unharmed(study: Study, undisturbed: Study, fault: str, injected: int) -> None:
    """Assert that a study is finished and as it would have been; its tally is written first."""
    done = harm(study, undisturbed)
    tally(fault, injected, len(undisturbed.weights()), done)
    assert injected > 0, f"{fault}: it never happened"
    assert done == Harm(0, 0, 0)
    assert set(study.tracked().statuses) == {"FINISHED"}
    assert study.table() == undisturbed.table()
    assert not list(study.trials.glob("*/.*.tmp"))
