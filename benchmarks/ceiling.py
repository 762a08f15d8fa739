"""How many trials a second each part of the service bears, with trials that train nothing.

Three parts, each alone, because a study is as fast as its slowest:

- Optuna: `StageJournal.ask` and `tell` with so many trials behind them, for each sampler, on SQLite; with a thousand
  trials running; and on PostgreSQL.
- The driver: its processor seconds per trial and per epoch, from the request of a trial to its end, with a real journal
  and outbox but nothing of Ray; and with Ray (`benchmarks.history` has that one).
- MLflow: `TrackingClient.apply` of trials into SQLite, PostgreSQL, and a server in front of each.

A history is one real trial whose rows are copied in the database, each copy with its own parameters and value.

    python -m benchmarks.ceiling [--parts optuna driver mlflow]
"""

import argparse
import itertools
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.page import ROOT, publish, stored, table, with_block
from benchmarks.untrained import made_up, study_of
from search_spaces.spaces import sigma_alpha
from study.planning.plan import grid_trials
from study.planning.proposals import proposed_arm
from study.records import TrialReport
from study.running.job import TrialJob
from study.running.journal import StageJournal, open_storage
from study.running.sources import Planned, Searched, TrialSource
from study.running.stage import StageRun
from study.running.watcher import Watcher
from study.stages import Stage
from study.tracking import schema
from study.tracking.client import TrackingClient
from study.tracking.events import EpochsPassed, Event, RunBegan, RunEnded, StudyBegan, now_ms
from study.tracking.names import Cost, run_name, run_params
from study.tracking.outbox import BATCH, Outbox

sys.path.append(str(ROOT / "tests"))  # the real servers that tests start

SCALING = ROOT / "docs" / "scaling.md"
HISTORIES = (100, 1000, 10_000)
SAMPLERS: dict[str, Sequence[int]] = {
    "grid": HISTORIES,
    "random": HISTORIES,
    "qmc": HISTORIES,
    "tpe": HISTORIES,
    "cmaes": HISTORIES,
    "gp": (100, 300, 1000),  # cubic: a single ask at 10,000 would want a matrix of 800 MB, again and again
}
PARTS = ("optuna", "driver", "mlflow")
TRIALS, GPUS = 100_000, 1000
TIMES = 15
EPOCHS = 30


@dataclass(frozen=True)
class Asked:
    """Processor milliseconds of this process to ask and to tell one trial, one number a trial.

    Processor time, because it is the same on a machine that does other work; waiting for a disk or a database is not in
    it.
    """

    sampler: str
    storage: str
    history: int
    running: int
    ask: list[float]
    tell: list[float]

    @property
    def trials_per_second(self) -> float:
        return 1000 / (statistics.median(self.ask) + statistics.median(self.tell))


@dataclass(frozen=True)
class Driven:
    """Processor milliseconds of the driver: of a trial of one epoch, and of each epoch more."""

    trial: float
    epoch: float


@dataclass(frozen=True)
class Tracked:
    """What a store takes, one number a round of `BATCH` events.

    Attributes:
        trials_per_second: by the clock.
        client, server: processor milliseconds per trial of this process, and of those behind the address.
        epoch: milliseconds by the clock of an epoch alone.
    """

    store: str
    trials_per_second: list[float]
    client: list[float]
    server: list[float]
    epoch: float

    @property
    def bearable(self) -> float:
        """Trials a second where client and server have a core each to themselves."""
        return 1000 / max(statistics.median(self.client), statistics.median(self.server))


# ------------------------------------------------------------------------------------------------------------- Optuna


def source_of(sampler: str, trials: int) -> tuple[Stage, TrialSource]:
    config = study_of(trials, sampler)
    if sampler == "grid":
        return "grid", Planned(grid_trials(config))
    return "search", Searched(config, proposed_arm(config, sigma_alpha), multiplications=len, classes=10)


def opened(url: str, sampler: str, trials: int) -> StageJournal:
    stage, source = source_of(sampler, trials)
    return StageJournal(open_storage(url), "ceiling", stage, source)


def write_history(file: Path, sampler: str, trials: int, running: int = 0) -> None:
    """So many trials, the last of them running, by one that was really asked and told."""
    journal = opened(f"sqlite:///{file}", sampler, trials + 2 * TIMES)
    asked = journal.ask()
    assert asked is not None
    report = made_up(*asked)
    journal.keep(asked[0], report.epochs)
    journal.tell(report)
    with sqlite3.connect(file) as database:
        database.execute("CREATE TEMP TABLE copy (number INTEGER PRIMARY KEY)")
        database.executemany("INSERT INTO copy VALUES (?)", [(number,) for number in range(1, trials)])
        database.execute(
            "INSERT INTO trials SELECT 1 + copy.number, copy.number, study_id, state, datetime_start, "
            "datetime_complete FROM copy, trials WHERE trials.trial_id = 1"
        )
        chance = "(0.5 + random() / 18446744073709551616.0)"
        for name, own in (
            ("trial_params", {"param_value": f"0.01 + 0.99 * {chance}"}),
            ("trial_values", {"value": f"0.1 + 0.3 * {chance}"}),
            ("trial_intermediate_values", {}),
            ("trial_user_attributes", {"value_json": "CASE key WHEN 'point' THEN copy.number ELSE value_json END"}),
            ("trial_system_attributes", {}),
        ):
            _, *columns = [column for _, column, *_ in database.execute(f"PRAGMA table_info({name})")]
            values = ["1 + copy.number" if column == "trial_id" else own.get(column, column) for column in columns]
            database.execute(
                f"INSERT INTO {name} ({', '.join(columns)}) SELECT {', '.join(values)} FROM copy, {name} "
                "WHERE trial_id = 1"
            )
        last = trials - running
        database.execute("UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE number >= ?", (last,))
        database.execute("DELETE FROM trial_values WHERE trial_id > ?", (last,))


def asked(journal: StageJournal, sampler: str, storage: str, history: int, running: int = 0) -> Asked:
    """The first is left out: it reads the history into memory, once."""
    result = Asked(sampler, storage, history, running, [], [])
    for _ in range(1 + TIMES):
        began = time.process_time()
        trial = journal.ask()
        between = time.process_time()
        assert trial is not None
        report = made_up(*trial)
        ready = time.process_time()
        journal.keep(trial[0], report.epochs)
        journal.tell(report)
        result.tell.append(1000 * (time.process_time() - ready))
        result.ask.append(1000 * (between - began))
    del result.ask[0], result.tell[0]
    print(f"{sampler}, {storage}, {history:,}: {result.trials_per_second:.1f} trials/s", file=sys.stderr)
    return result


def measure_optuna() -> list[Asked]:
    from support.postgresql import running_postgresql

    results = []
    with tempfile.TemporaryDirectory() as folder:
        for sampler, histories in SAMPLERS.items():
            for history in histories:
                file = Path(folder) / f"{sampler}-{history}.db"
                write_history(file, sampler, history)
                journal = opened(f"sqlite:///{file}", sampler, history + 2 * TIMES)
                results.append(asked(journal, sampler, "SQLite", history))
        for sampler in ("grid", "random", "tpe"):
            file = Path(folder) / f"{sampler}-running.db"
            write_history(file, sampler, 2000, running=1000)
            journal = opened(f"sqlite:///{file}", sampler, 2000 + 2 * TIMES)
            results.append(asked(journal, sampler, "SQLite", 1000, running=1000))
    with running_postgresql() as server:
        url = server.new_database()
        results.append(asked(opened(url, "random", 2 * TIMES), "random", "PostgreSQL", 1))
    return results


def optuna_table(results: Sequence[Asked]) -> str:
    head = ("sampler", "journal", "trials that ended", "running", "ask, ms", "tell, ms", "trials a second")
    return table(
        head,
        [
            [
                each.sampler,
                each.storage,
                f"{each.history:,}",
                f"{each.running:,}",
                f"{statistics.median(each.ask):.0f} ({min(each.ask):.0f} to {max(each.ask):.0f})",
                f"{statistics.median(each.tell):.0f} ({min(each.tell):.0f} to {max(each.tell):.0f})",
                f"{each.trials_per_second:.0f}" if each.trials_per_second >= 10 else f"{each.trials_per_second:.1f}",
            ]
            for each in results
        ],
    )


# ------------------------------------------------------------------------------------------------------------- driver


def driven_seconds(folder: Path, epochs: int, trials: int) -> float:
    """Processor seconds per trial of a stage whose trials answer at once; what it tracks is not delivered."""
    outbox = Outbox(folder / "outbox.db", lambda _: None, print, pause=3600)
    run = StageRun(
        journal=opened(f"sqlite:///{folder}/journal.db", "grid", trials),
        job=lambda number, trial_id, trial: TrialJob(number, trial, folder / trial_id, None, folder),
        params=lambda trial: run_params(trial, "digits", Cost(640, 650), Cost(640, 650)),
        track=outbox.put,
        watcher=Watcher(),
        workers=2,
    )
    began = time.process_time()
    for name in map(str, range(trials)):
        job = run.next_job(name)
        assert isinstance(job, TrialJob)
        report = made_up(job.number, job.trial)
        first = report.epochs[0]
        history = [first.model_copy(update={"epoch": epoch}) for epoch in range(1, epochs + 1)]
        for passed in range(1, epochs):
            run.on_report(name, TrialReport(number=job.number, epochs=(history[passed - 1],)))
        run.on_report(name, report.model_copy(update={"epochs": tuple(history)}))
    seconds = (time.process_time() - began) / trials
    outbox.close(0)
    return seconds


def measure_driver() -> list[Driven]:
    results = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as short, tempfile.TemporaryDirectory() as long:
            one = driven_seconds(Path(short), epochs=1, trials=100)
            many = driven_seconds(Path(long), epochs=EPOCHS, trials=10)
        results.append(Driven(1000 * one, 1000 * (many - one) / (EPOCHS - 1)))
        print(f"driver: {results[-1]}", file=sys.stderr)
    return results


def driver_table(results: Sequence[Driven]) -> str:
    head = ("of the driver, without Ray", "processor ms", "a second")
    rows = [("a trial of one epoch", [r.trial for r in results]), ("an epoch more", [r.epoch for r in results])]
    return table(
        head,
        [
            [
                name,
                f"{statistics.median(ms):.1f} ({min(ms):.1f} to {max(ms):.1f})",
                f"{1000 / statistics.median(ms):.0f}",
            ]
            for name, ms in rows
        ],
    )


# ------------------------------------------------------------------------------------------------------------- MLflow


def trial_events(numbers: Iterator[int]) -> list[Event]:
    """A trial of one epoch from its beginning to its end."""
    trial = grid_trials(study_of(2, "grid"))[1]
    number = next(numbers)
    report = made_up(number, trial)
    assert report.summary is not None
    trial_id = f"grid-{number:06d}"
    return [
        RunBegan(
            trial_id=trial_id,
            kind="trial",
            role="arm",
            stage="grid",
            name=run_name(trial),
            params=run_params(trial, "digits", Cost(640, 650), Cost(640, 650)),
            timestamp_ms=now_ms(),
        ),
        EpochsPassed(trial_id=trial_id, epochs=report.epochs),
        RunEnded(trial_id=trial_id, summary=report.summary, timestamp_ms=now_ms()),
    ]


def processor_seconds(servers: Sequence[psutil.Process]) -> float:
    """That servers and all their processes have used so far."""
    family = [each for server in servers for each in (server, *server.children(recursive=True))]
    return float(sum(times.user + times.system for times in (each.cpu_times() for each in family)))


def tracked(store: str, uri: str, servers: Sequence[psutil.Process] = ()) -> Tracked:
    client = TrackingClient(uri, "ceiling")
    client.apply([StudyBegan(study_file="", params={schema.DATASET: "digits"}, tags={})])
    numbers = itertools.count()
    rounds = []
    for _ in range(4):
        events = [event for _ in range(BATCH // 3) for event in trial_events(numbers)]
        before = time.perf_counter(), time.process_time(), processor_seconds(servers)
        client.apply(events)
        after = time.perf_counter(), time.process_time(), processor_seconds(servers)
        rounds.append([(end - begin) / (len(events) / 3) for begin, end in zip(before, after, strict=True)])
    del rounds[0]  # it makes the connections
    begun, first, _ = trial_events(numbers)
    assert isinstance(first, EpochsPassed)
    client.apply([begun])
    seconds = []
    for epoch in range(1, EPOCHS + 1):
        one = first.model_copy(update={"epochs": (first.epochs[0].model_copy(update={"epoch": epoch}),)})
        began = time.perf_counter()
        client.apply([one])
        seconds.append(time.perf_counter() - began)
    result = Tracked(
        store,
        trials_per_second=[1 / seconds for seconds, _, _ in rounds],
        client=[1000 * seconds for _, seconds, _ in rounds],
        server=[1000 * seconds for _, _, seconds in rounds],
        epoch=1000 * statistics.median(seconds),
    )
    print(f"MLflow, {store}: {statistics.median(result.trials_per_second):.1f} trials/s", file=sys.stderr)
    return result


def measure_mlflow() -> list[Tracked]:
    from support.mlflow_server import mlflow_server
    from support.postgresql import running_postgresql

    results = []
    with tempfile.TemporaryDirectory() as name, running_postgresql() as server:
        folder = Path(name)
        database = psutil.Process(server._server.get_postmaster_info().process.pid)
        results.append(tracked("SQLite", f"sqlite:///{folder}/mlflow.db"))
        results.append(tracked("PostgreSQL", server.new_database(), [database]))
        for behind, store in (("SQLite", f"sqlite:///{folder}/served.db"), ("PostgreSQL", server.new_database())):
            (folder / behind).mkdir()
            with mlflow_server(store, folder / behind) as mlflow:
                assert mlflow._process is not None
                processes = [psutil.Process(mlflow._process.pid), *([database] if behind == "PostgreSQL" else [])]
                results.append(tracked(f"a server, {behind} behind it", mlflow.uri, processes))
    return results


def mlflow_table(results: Sequence[Tracked]) -> str:
    head = (
        "store",
        "client, ms",
        "server, ms",
        "a core each, trials a second",
        "here, trials a second",
        "an epoch, ms",
    )
    return table(
        head,
        [
            [
                each.store,
                f"{statistics.median(each.client):.0f}",
                f"{statistics.median(each.server):.0f}",
                f"{each.bearable:.0f}",
                f"{statistics.median(each.trials_per_second):.0f} "
                f"({min(each.trials_per_second):.0f} to {max(each.trials_per_second):.0f})",
                f"{each.epoch:.0f}",
            ]
            for each in results
        ],
    )


# ------------------------------------------------------------------------------------------- what follows from all this


def bounds_table(of_optuna: Sequence[Asked], of_driver: Sequence[Driven], of_mlflow: Sequence[Tracked]) -> str:
    """What each part allows a study of `TRIALS` trials on `GPUS` GPUs, one trial on each."""
    trial = statistics.median(each.trial for each in of_driver)
    epochs = (EPOCHS - 1) * statistics.median(each.epoch for each in of_driver)
    rates = {
        "driver without Ray, trials of 1 epoch": 1000 / trial,
        f"driver without Ray, trials of {EPOCHS} epochs": 1000 / (trial + epochs),
    }
    for study in stored("history", []):
        rates[f"driver with Ray and the tracking client, {study['sampler']}"] = 1 / study["processor"][-1]
    for sampler in ("random", "cmaes", "tpe"):
        rates[f"{sampler}, at {TRIALS:,} trials"] = 1000 / at_the_end(sampler, of_optuna)
    rates |= {f"gp, at {each.history:,} trials": each.trials_per_second for each in of_optuna if each.sampler == "gp"}
    rates |= {f"MLflow, {store.store}": store.bearable for store in of_mlflow}
    head = ("part", "trials a second", f"{TRIALS:,} trials, hours", f"shortest trial for {GPUS:,} busy GPUs, s")
    rows = [[name, f"{rate:.3g}", f"{TRIALS / rate / 3600:.1f}", f"{GPUS / rate:,.0f}"] for name, rate in rates.items()]
    return table(head, rows)


def at_the_end(sampler: str, of_optuna: Sequence[Asked]) -> float:
    """Milliseconds of an ask and a tell at `TRIALS`, in a straight line through 1,000 and 10,000."""
    low, high = (
        1000 / each.trials_per_second
        for each in of_optuna
        if each.sampler == sampler and each.running == 0 and each.history in HISTORIES[1:]
    )
    return high + max(0.0, high - low) * (TRIALS - HISTORIES[2]) / (HISTORIES[2] - HISTORIES[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="those left out keep their numbers")
    parts = parser.parse_args().parts
    if "optuna" in parts:
        asks = measure_optuna()
        publish(SCALING, "ceiling-optuna", optuna_table(asks), [asdict(each) for each in asks])
    if "driver" in parts:
        drives = measure_driver()
        publish(SCALING, "ceiling-driver", driver_table(drives), [asdict(each) for each in drives])
    if "mlflow" in parts:
        stores = measure_mlflow()
        publish(SCALING, "ceiling-mlflow", mlflow_table(stores), [asdict(each) for each in stores])
    block = bounds_table(
        [Asked(**each) for each in stored("ceiling-optuna", [])],
        [Driven(**each) for each in stored("ceiling-driver", [])],
        [Tracked(**each) for each in stored("ceiling-mlflow", [])],
    )
    SCALING.write_text(with_block(SCALING.read_text(encoding="utf-8"), "ceiling-bounds", block), encoding="utf-8")


if __name__ == "__main__":
    main()
