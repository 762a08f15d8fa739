"""Carries out plans on a small real study: real processes, signals, a real MLflow server on SQLite.

Works on a plan and an empty folder. At the end the server runs and the study is resumed until it ends with status 0.
Then it is compared with the same study undisturbed. Runs in a process that was warmed up (`support.warm`).
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from support import plans
from support.disturbed import Document, Driver, Harm, Kept, Study, harm_of, kill, wait_for
from support.full_disk import small_disk
from support.plans import Plan, Step
from support.warm import WarmServer, command, in_child

TINY: Document = {
    "name": "tiny",
    "data": {"name": "digits"},
    "teachers": [{"network": "FC10", "train": {"epochs": 2}}],
    "student": {"network": "FC10"},
    "train": {"epochs": 6, "batch_size": 16, "patience": 0},
    "arms": [{"method": "noisy_teacher", "sigma": 0.5}],
    "seeds": [0, 1],
    "search": {"space": "sigma_alpha", "sampler": "tpe", "trials": 3, "startup_trials": 2, "confirm": {"top": 1}},
    "resources": {"workers": 1},
}
"""Ten trainings of a second or less in four stages, one after another, as the recipe `quickstart-search` has them."""

STALLED = 20.0
"""Seconds without a new file of a trial after which a step no longer waits for one."""

ENDS = 240.0
"""Seconds that a command may take to end where nothing holds it up."""

LAST_RESUMES = 3


@dataclass
class Happened:
    """One study and what became of it; a line of JSON.

    Attributes:
        verdict: `same`; `said` where a line of the last resume names each trial that is missing; else `wrong`.
        reason: why it is not `same`.
        did: each step that happened: operation, second, and what came of it.
        injected: how often each operation happened.
        lines: what commands wrote to standard error, without what they repeated.
        load: processes that waited for a processor, mean of the last minute.
    """

    kind: str
    seed: int
    plan: dict[str, Any]
    verdict: str = "wrong"
    reason: str = ""
    seconds: float = 0.0
    starts: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    trials: int = 0
    same_table: bool = False
    injected: dict[str, int] = field(default_factory=dict)
    did: list[list[Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    load: float = 0.0


class Machine:
    """A study, its server, and what may happen to both.

    Args:
        folder: made for it.
        empty_store: a SQLite database that MLflow has set up.
    """

    def __init__(self, folder: Path, empty_store: Path) -> None:
        folder.mkdir(parents=True)
        self._store = folder / "server.db"
        shutil.copy(empty_store, self._store)
        self.server = WarmServer(f"sqlite:///{self._store}", folder)
        self.study = Study(folder / "study", TINY, self.server.uri, command)
        self.root = self.study.folder / ".noisy-study"
        self.driver: Driver | None = None
        self._opened: list[Driver] = []
        self._backups: list[Path] = []
        self.starts = 0
        self._acts: dict[str, Callable[[Step], object]] = {
            plans.START: lambda step: self.start(),
            plans.KILL_DRIVER: lambda step: self._stop(Driver.kill),
            plans.KILL_ALL: lambda step: self._stop(Driver.kill_all),
            plans.CTRL_C: lambda step: self._interrupt(Driver.ctrl_c),
            plans.SIGTERM: lambda step: self._interrupt(lambda driver: driver.signal(signal.SIGTERM)),
            plans.KILL_RAYLET: lambda step: self._stop(lambda driver: kill(driver.server("raylet"))),
            plans.KILL_GCS: lambda step: self._stop(lambda driver: kill(driver.server("gcs_server"))),
            plans.KILL_WORKER: self._kill_worker,
            plans.STOP_SERVER: lambda step: self._stop_server(),
            plans.START_SERVER: lambda step: self._start_server(),
            plans.HANG_SERVER: lambda step: self.server.hang(),
            plans.WAKE_SERVER: lambda step: self.server.wake(),
            plans.RESTORE: self._restore,
            plans.LOSE_OUTBOX: lambda step: self._lose_outbox(),
            plans.SYNC: lambda step: self._sync(),
            plans.FILL_DISK: lambda step: self._fill_disk(),
            plans.DAMAGE_CHECKPOINT: self._damage_checkpoint,
        }

    # ------------------------------------------------------------------------------------------------------ a plan

    def do(self, step: Step) -> str | None:
        """Wait for its moment and do it; what came of it, or None where it could not happen."""
        self._back_up()
        self._until_moment(step)
        done = self._acts[step.operation](step)
        return None if done is False else str(done or "")

    def end(self) -> None:
        """Start the server and resume until status 0.

        Raises:
            AssertionError: no resume came to status 0.
        """
        if self._serving():
            self.server.wake()
        else:
            self.server.start()
        if self.driver is not None:
            self.driver.ends(ENDS)
        for _ in range(LAST_RESUMES):
            self.start()
            assert self.driver is not None
            if self.driver.ends(ENDS) == 0:
                return
        raise AssertionError(f"{LAST_RESUMES} times no status 0: {self.driver.stderr}")  # type: ignore[union-attr]

    def close(self) -> None:
        for driver in self._opened:
            driver.close()
        self.server.kill()

    def lines(self) -> list[str]:
        """What commands wrote to standard error, each line once."""
        written = (line for driver in self._opened for line in driver.stderr.splitlines() if line.strip())
        return list(dict.fromkeys(written))

    def last_lines(self) -> str:
        return self._opened[-1].stderr

    # -------------------------------------------------------------------------------------------------- the moments

    def _files(self) -> int:
        return sum(1 for _ in self.study.trials.glob("*/[!.l]*"))

    def _until_moment(self, step: Step) -> None:
        before = last = self._files() if self._runs() else 0
        changed_at = time.monotonic()
        while self._runs() and last - before < step.files and time.monotonic() - changed_at < STALLED:
            self._pause(0.02)
            if (now := self._files()) != last:
                last, changed_at = now, time.monotonic()
        if self._runs():
            self._pause(step.delay)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        wait_for(lambda: time.monotonic() >= until or not self._runs(), "the moment comes")

    # ----------------------------------------------------------------------------------------------- what can happen

    def _runs(self) -> bool:
        return self.driver is not None and self.driver.running

    def _serving(self) -> bool:
        return self.server.started

    def start(self) -> bool:
        """`run` where no study exists yet, else `resume`; False where a driver runs."""
        if self._runs():
            return False
        exists = self.study.trials.with_name("study.yaml").exists()
        self.driver = self._open("resume", self.study.name) if exists else self._open("run", self.study.file.name)
        self.starts += 1
        return True

    def _open(self, *words: str) -> Driver:
        self._opened.append(self.study.open(*words))
        return self._opened[-1]

    def _stop(self, how: Callable[[Driver], object], within: float = ENDS) -> str | bool:
        """A part of Ray that dies while Ray starts is started again, and the command goes on to its end."""
        if self.driver is None or not self.driver.running:
            return False
        self.driver.ray()
        try:
            how(self.driver)
        except StopIteration:  # Ray has not started yet
            return False
        return f"status {self.driver.ends(within)}"

    def _interrupt(self, how: Callable[[Driver], object]) -> str | bool:
        """False where the command had come to its end before the signal."""
        stopped = self._stop(how, within=30)
        assert stopped in (False, "status 0", "status 130"), f"{stopped} after a signal"
        return False if stopped == "status 0" else stopped

    def _stop_server(self) -> bool:
        served = self._serving()
        self.server.kill()
        return served

    def _start_server(self) -> bool:
        """False where it runs already."""
        if self._serving():
            return False
        self.server.start()
        return True

    def _kill_worker(self, step: Step) -> bool:
        workers = self.driver.workers() if self.driver is not None and self._runs() else []
        if not workers:
            return False
        kill(workers[int(step.choice * len(workers))])
        return True

    def _back_up(self) -> None:
        """A copy of the server's database as it is now."""
        copy = self._store.with_name(f"backup-{len(self._backups)}.db")
        with closing(sqlite3.connect(self._store, timeout=30)) as here, closing(sqlite3.connect(copy)) as there:
            here.backup(there)
        self._backups.append(copy)

    def _restore(self, step: Step) -> str:
        """The server stops, its database goes back to one of the backups, and it starts if it ran."""
        served = self._serving()
        self.server.kill()
        number = int(step.choice * len(self._backups))
        for extra in ("-wal", "-shm", "-journal"):
            self._store.with_name(self._store.name + extra).unlink(missing_ok=True)
        shutil.copy(self._backups[number], self._store)
        if served:
            self.server.start()
        return f"backup {number} of {len(self._backups)}"

    def _lose_outbox(self) -> bool:
        files = list(self.study.trials.parent.glob("outbox.db*"))
        if self._runs() or not files:
            return False
        for file in files:
            file.unlink()
        return True

    def _sync(self) -> str | bool:
        if not self.study.trials.with_name("study.yaml").exists():
            return False
        driver = self._open("sync", self.study.name)
        status = driver.ends(ENDS)
        assert status in (0, 1, 2), driver.stderr
        return f"status {status}"

    def _fill_disk(self) -> str | bool:
        """Something else takes all room until the driver has ended."""
        if self.driver is None or not self.driver.running or not self.root.is_mount():
            return False
        filler = self.root / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4096"], capture_output=True, check=False)
        try:
            return f"status {self.driver.ends(ENDS)}"
        finally:
            filler.unlink()

    def _damage_checkpoint(self, step: Step) -> bool:
        """Cut a checkpoint in half, flip one of its bits, or leave it empty. Its trial runs until then."""

        def written() -> list[Path]:
            return [file for file in sorted(self.study.trials.glob("*/checkpoint.pt")) if file.stat().st_size]

        if self.driver is None or not self.driver.running:
            return False
        wait_for(lambda: bool(written()) or not self._runs(), "a checkpoint is written")
        self._stop(Driver.kill_all)
        if not (files := written()):  # the trial ended meanwhile, which removes it
            return False
        content = files[-1].read_bytes()
        half = len(content) // 2
        flipped = content[:half] + bytes([content[half] ^ 4]) + content[half + 1 :]
        files[-1].write_bytes((content[:half], flipped, b"")[int(step.choice * 3)])
        return True


def carry_out(plan: Plan, folder: Path, empty_store: Path, undisturbed: Kept) -> Happened:
    """One study from its start to its comparison. The folder is removed where the verdict is `same`."""
    happened, began = Happened(plan.kind, plan.seed, plan.document(), load=os.getloadavg()[0]), time.monotonic()
    injected: Counter[str] = Counter()
    with ExitStack() as stack:
        machine = Machine(folder, empty_store)
        if any(step.operation == plans.FILL_DISK for step in plan.steps):
            stack.enter_context(small_disk(machine.root, "8m"))
        stack.callback(machine.close)
        try:
            machine.server.start()
            for step in plan.steps:
                at = round(time.monotonic() - began, 1)
                outcome = machine.do(step)
                happened.did.append([step.operation, at, "skipped" if outcome is None else outcome])
                injected[step.operation] += outcome is not None
            machine.end()
            kept = in_child(lambda: Kept.of(machine.study))
            _judge(happened, kept, undisturbed, machine.last_lines())
        except (AssertionError, subprocess.TimeoutExpired, psutil.Error, OSError) as error:
            happened.reason = f"{type(error).__name__}: {' '.join(str(error).split())[-600:]}"
        happened.lines, happened.starts, happened.injected = machine.lines(), machine.starts, dict(injected)
        if any("Traceback" in line for line in happened.lines):
            happened.verdict, happened.reason = "wrong", f"a traceback was printed; {happened.reason}"
    happened.seconds = round(time.monotonic() - began, 1)
    if happened.verdict == "same":
        shutil.rmtree(folder, ignore_errors=True)
    return happened


def _judge(happened: Happened, kept: Kept, undisturbed: Kept, last_lines: str) -> None:
    harm, right = harm_of(kept, undisturbed), undisturbed.tracked
    happened.lost, happened.doubled, happened.changed = harm.lost, harm.doubled, harm.changed
    happened.trials, happened.same_table = len(undisturbed.weights), kept.table == undisturbed.table
    finished = set(kept.tracked.statuses) == {"FINISHED"}
    if harm == Harm(0, 0, 0) and happened.same_table and finished:
        happened.verdict = "same"
        return
    missing = sorted(trial for trial in right.runs if kept.tracked.outcomes.get(trial) != right.outcomes[trial])
    changed = sorted(trial for trial in right.runs if kept.tracked.test_errors.get(trial) != right.test_errors[trial])
    happened.reason = (
        f"lost {missing}, doubled {harm.doubled}, other test error {changed}, changed {harm.changed}, "
        f"same table {happened.same_table}, statuses {dict(kept.tracked.statuses)}"
    )
    unsaid = [trial for trial in {*missing, *changed} if trial not in last_lines]
    if missing and not unsaid and harm.doubled == 0:
        happened.verdict = "said"


def undisturbed(folder: Path) -> Kept:
    """The same study where nothing happens to it.

    Raises:
        AssertionError: it did not end with status 0, though it was started again (Ray's start fails on a busy machine).
    """
    study = Study(folder, TINY, launch=command)
    for number in range(LAST_RESUMES):
        with study.command("run", study.file.name) as driver:
            if driver.ends() == 0:
                break
        is_retried = number + 1 < LAST_RESUMES and not study.trials.with_name("study.yaml").exists()
        assert is_retried, f"the undisturbed study: {driver.stderr}"
    return in_child(lambda: Kept.of(study))


def document(happened: Happened) -> dict[str, Any]:
    """For JSON."""
    return asdict(happened)
