"""Seconds and memory that the table of a large study takes: 1,000 trials, and 10,000.

One trial of the baseline and one of an arm are written into a new MLflow store by the study's own client, thirty epochs
each; their rows are then copied in the database until there are enough, each copy with its own σ, seed and errors. What
is timed is the command, from the start of its process to its end.

    python -m benchmarks.tables [--rounds 3]
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.page import PERFORMANCE, publish, spread, table
from benchmarks.untrained import study_of
from study.config import TrialConfig, dump_study
from study.planning.plan import grid_trials
from study.records import EpochRecord, TrainingSummary
from study.tracking import schema
from study.tracking.client import TrackingClient
from study.tracking.events import EpochsPassed, Event, RunBegan, RunEnded, StudyBegan, StudyEnded
from study.tracking.names import Cost, run_name, run_params

SIZES = (1000, 10_000)
EPOCHS, SEEDS = 30, 10


@dataclass(frozen=True)
class Result:
    """Tables over so many trials, one number a round."""

    trials: int
    seconds: list[float]
    peak_mebibytes: list[float]


def write_store(file: Path, trials: int) -> None:
    """A study of so many completed trials, a tenth as many arms (the baseline among them) over ten seeds."""
    baseline, arm = grid_trials(study_of(2, "grid"))
    config = study_of(2, "grid")
    begun = StudyBegan(study_file=dump_study(config), params={schema.DATASET: "digits"}, tags={})
    client = TrackingClient(f"sqlite:///{file}", config.name)
    client.apply([begun, *_events("a", baseline), *_events("b", arm)])
    client.apply([StudyEnded(status="FINISHED", timestamp_ms=EPOCHS * 1000)])
    with sqlite3.connect(file) as database:
        first = {
            tag: run
            for run, tag in database.execute(f"SELECT run_uuid, value FROM tags WHERE key = '{schema.TRIAL_ID}'")
        }
        database.execute("CREATE TEMP TABLE copy (number INTEGER PRIMARY KEY, original TEXT, run TEXT)")
        database.executemany(
            "INSERT INTO copy VALUES (?, ?, ?)",
            [(k, first["a" if k < SEEDS else "b"], f"{k:032x}") for k in range(trials)],
        )
        for name in ("runs", "params", "tags", "metrics", "latest_metrics"):
            _copy(database, name)
            database.execute(f"DELETE FROM {name} WHERE run_uuid IN (SELECT original FROM copy)")


def _copy(database: sqlite3.Connection, name: str) -> None:
    """Copy the rows of a table; what tells one trial from another is made from its number."""
    own = {
        "runs": {"start_time": "number"},
        "params": {
            "value": f"CASE key WHEN '{schema.SEED}' THEN number % {SEEDS}"
            f" WHEN '{schema.SIGMA}' THEN CASE WHEN number < {SEEDS} THEN value ELSE number / {SEEDS} * 0.001 END"
            " ELSE value END"
        },
        "latest_metrics": {"value": f"value * (1 + 0.0001 * (number % 97) + 0.01 * (number % {SEEDS}))"},
    }.get(name, {})
    columns = [column for _, column, *_ in database.execute(f"PRAGMA table_info({name})")]
    values = ["run" if column == "run_uuid" else own.get(column, column) for column in columns]
    database.execute(
        f"INSERT INTO {name} ({', '.join(columns)}) "
        f"SELECT {', '.join(values)} FROM copy JOIN {name} ON {name}.run_uuid = copy.original"
    )


def _events(trial_id: str, trial: TrialConfig) -> Sequence[Event]:
    epochs = [
        EpochRecord(
            epoch=epoch,
            train_loss=1 / epoch,
            val_error=0.5 / epoch,
            images_per_second=1000.0,
            seconds=1.0,
            timestamp_ms=epoch * 1000,
        )
        for epoch in range(1, EPOCHS + 1)
    ]
    summary = TrainingSummary(
        outcome="completed",
        epochs=EPOCHS,
        best_val_error=0.02,
        best_epoch=EPOCHS,
        train_seconds=30.0,
        test_error=0.02,
    )
    return (
        RunBegan(
            trial_id=trial_id,
            kind="trial",
            role=trial.role,
            stage=trial.stage,
            name=run_name(trial),
            params=run_params(trial, "digits", Cost(640, 650), Cost(640, 650)),
            timestamp_ms=0,
        ),
        EpochsPassed(trial_id=trial_id, epochs=tuple(epochs)),
        RunEnded(trial_id=trial_id, summary=summary, timestamp_ms=EPOCHS * 1000),
    )


# Linux counts to a process's peak what its parent held when it was forked, so a small one stands between.
WATCH = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[2:], stdout=open(sys.argv[1], "w"), check=True)
seconds = time.perf_counter() - began
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))
"""


def measured(folder: Path, trials: int) -> tuple[float, float]:
    """Seconds and MiB of one call of the command."""
    output = folder / "table.json"
    command = [str(Path(sys.executable).with_name("noisy-study")), "table", "untrained", "--format", "json"]
    answer = subprocess.run(
        [sys.executable, "-c", WATCH, str(output), *command],
        cwd=folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/{trials}.db"},
        capture_output=True,
        check=True,
    ).stdout
    assert sum(row["n"] for row in json.loads(output.read_text())["rows"]) == trials
    seconds, mebibytes = json.loads(answer)
    return seconds, mebibytes


def measure(rounds: int) -> list[Result]:
    """Both sizes in turn, as often as asked."""
    results = [Result(trials, [], []) for trials in SIZES]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for trials in SIZES:
            write_store(folder / f"{trials}.db", trials)
        for _ in range(rounds):
            for result in results:
                seconds, mebibytes = measured(folder, result.trials)
                result.seconds.append(seconds)
                result.peak_mebibytes.append(mebibytes)
                print(f"{result.trials:,} trials: {seconds:.1f} s, {mebibytes:.0f} MiB", file=sys.stderr)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    results = measure(parser.parse_args().rounds)
    rows = [
        [f"{result.trials:,}", spread(result.seconds, ".1f"), f"{statistics.median(result.peak_mebibytes):.0f}"]
        for result in results
    ]
    head = ("trials", "seconds", "peak memory, MiB")
    publish(PERFORMANCE, "tables", table(head, rows), [asdict(result) for result in results])


if __name__ == "__main__":
    main()
