"""10,000 trials of one second on 16 slots, by a study and by Ray Tune alone: Ray Tune's own scalability test.

Ray's documentation has 715 s for it, on 16 CPUs, where 625 s is the shortest possible time. Here trials only sleep, so
16 slots run on any number of CPUs, but a busy core shows sooner. Three sides, each in a process of its own, in turn:

- `study`: a planned grid of a real study. Its journal, outbox, searcher, scheduler and delivery to MLflow on SQLite are
  the service's own. A student is a stand-in: it sleeps for a second and reports one epoch with a made-up error.
- `ray`: Ray's release test, `bookkeeping overhead`, as it is: a function that reports once and sleeps for a second,
  `reuse_actors`, Ray Tune's default files with the results of each trial, no tracking.
- `bare`: the same without these files, with all settings with which a study runs Ray Tune but one. A study allows any
  number of waiting trials, because its searcher proposes no more than run. With this setting, bare Ray Tune would make
  all trials at once and look through them at every event.

Seconds go from the first request of a trial until the last trial has ended, and until Ray is shut down and, for a
study, everything is on the tracking server. Both include the start of 16 workers. A study's workers import PyTorch,
those of the other sides do not.

    python -m benchmarks.ten_thousand [--trials 1000 10000] [--sides study ray bare] [--slots 16] [--no-publish]
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from benchmarks.page import PERFORMANCE, publish, stored, table

SECONDS = 1.0
"""How long a trial sleeps."""

PARTS = 10
"""Into how many parts a side's trials are divided, to show growth."""


@dataclass(frozen=True)
class Side:
    """One side at one size.

    Attributes:
        side: its name.
        trials, slots: how many, and how many at once.
        seconds: from the first request of a trial until the last one has ended.
        delivered: the same until everything is delivered and Ray is shut down.
        driver: processor seconds of the driver's process, until everything is delivered.
        sender: of it, those of the thread that delivers to MLflow, until the last trial has ended.
        others: processor seconds of all its other processes: Ray's, the workers', those that deliver.
        parts: seconds per trial in each tenth of the trials, from end to end.
        driver_parts: processor milliseconds of the driver per trial, in each tenth.
    """

    side: str
    trials: int
    slots: int
    seconds: float
    delivered: float
    driver: float
    sender: float
    others: float
    parts: list[float]
    driver_parts: list[float]

    @property
    def shortest(self) -> float:
        """Seconds without anything but the trials."""
        return self.trials * SECONDS / self.slots


@dataclass
class Times:
    """When a side began, and when each trial ended, by the clock and by the driver's processor time."""

    began: float = 0.0
    processor: float = 0.0
    ends: list[tuple[float, float]] = field(default_factory=list)
    others_before: float = 0.0
    sender_before: float = 0.0
    others: float = 0.0
    sender: float = 0.0

    def begin(self) -> None:
        self.others_before, self.sender_before = seconds_of_others(), seconds_of_sender()
        self.began, self.processor = time.perf_counter(), time.process_time()

    def trial_ends(self, trials: int) -> None:
        """Note the end of one of so many trials; at the last one the workers still run."""
        self.ends.append((time.perf_counter(), time.process_time()))
        if len(self.ends) == trials:
            self.others = seconds_of_others() - self.others_before
            self.sender = seconds_of_sender() - self.sender_before

    def side(self, name: str, trials: int, slots: int) -> Side:
        """The numbers; to be called when everything is delivered."""
        assert len(self.ends) == trials, f"{len(self.ends)} trials ended, not {trials}"
        places = [round(part * trials / PARTS) for part in range(PARTS + 1)]
        moments = [(self.began, self.processor), *self.ends]
        parts = [(moments[last], moments[first], last - first) for first, last in pairwise(places)]
        return Side(
            name,
            trials,
            slots,
            seconds=self.ends[-1][0] - self.began,
            delivered=time.perf_counter() - self.began,
            driver=time.process_time() - self.processor,
            sender=self.sender,
            others=self.others,
            parts=[(last[0] - first[0]) / count for last, first, count in parts],
            driver_parts=[1000 * (last[1] - first[1]) / count for last, first, count in parts],
        )


def seconds_of_others() -> float:
    """Processor seconds of all processes below this one that run."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def seconds_of_sender() -> float:
    """Processor seconds of the outbox's thread; 0 where there is none."""
    ids = {thread.native_id for thread in threading.enumerate() if thread.name == "outbox"}
    return float(sum(each.user_time + each.system_time for each in psutil.Process().threads() if each.id in ids))


# -------------------------------------------------------------------------------------------------------------- a study


def of_study(trials: int, slots: int) -> Side:
    import ray

    from benchmarks import sleeping, untrained
    from study.config import TrialConfig
    from study.records import TrialReport
    from study.running.watcher import Watcher

    times = Times()

    class Ends(Watcher):
        def stage_begins(self, name: str, total: int, done: int, workers: int) -> None:
            if name == "grid":
                assert (total, done, workers) == (trials, 0, slots)
                times.begin()

        def trial_reports(self, trial_id: str, trial: TrialConfig, report: TrialReport) -> None:
            if trial.stage == "grid" and report.summary is not None:
                assert report.summary.outcome == "completed"
                times.trial_ends(trials)

    config = untrained.study_of(trials, "grid", f"resources.workers={slots}")
    with (
        patch.object(untrained, "Untrained", sleeping.Sleeping),
        patch.object(ray, "init", partial(ray.init, num_cpus=slots)),  # more than the machine may have
    ):
        untrained.run(config, Ends())
    return times.side("study", trials, slots)


# ------------------------------------------------------------------------------------------------------- Ray Tune alone


def one_second(config: dict[str, Any]) -> None:
    """The trainable of Ray's release test, for a trial of one second."""
    from ray import tune

    tune.report({"score": config["score"]})
    time.sleep(SECONDS)


def of_ray(count: int, slots: int, name: str = "ray") -> Side:
    if name == "ray":
        os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "100"  # as the release test
    else:
        from study.adapters.ray_workers import let_workers_start
        from study.running.engine import _ENVIRONMENT

        os.environ.update({key: value for key, value in _ENVIRONMENT.items() if key != "TUNE_MAX_PENDING_TRIALS_PG"})
        let_workers_start()
    import ray
    from ray import tune

    times = Times()

    class Ends(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            times.trial_ends(count)

    with tempfile.TemporaryDirectory() as folder:
        ray.init(num_cpus=slots, include_dashboard=False, log_to_driver=False)
        times.begin()
        results = tune.Tuner(
            one_second,
            param_space={"score": tune.uniform(0.0, 1.0)},
            tune_config=tune.TuneConfig(num_samples=count, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, callbacks=[Ends()], verbose=2 if name == "ray" else 0),
        ).fit()
        assert len(results) == count, "trials failed"
        assert not results.errors, results.errors[0]
        ray.shutdown()
        return times.side(name, count, slots)


SIDES: dict[str, Callable[[int, int], Side]] = {"study": of_study, "ray": of_ray, "bare": partial(of_ray, name="bare")}


def measured(side: str, trials: int, slots: int) -> Side:
    """A side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ten_thousand", "--side", side, "--slots", str(slots)]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_", "TUNE_"))
    }
    environment["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # else Ray writes one into the home folder
    with tempfile.NamedTemporaryFile("w+") as answer:
        done = subprocess.run(
            [*command, "--trials", str(trials), "--answer", answer.name],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
        result = Side(**json.loads(answer.read()))
    print(
        f"{trials:,} trials, {side}: {result.seconds:.1f} s, delivered {result.delivered:.1f} s, "
        f"driver {result.driver:.1f} s, others {result.others:.1f} s; {time.strftime('%H:%M:%S')}\n"
        f"  s/trial {' '.join(f'{1000 * part:.0f}' for part in result.parts)}; "
        f"driver ms {' '.join(f'{part:.0f}' for part in result.driver_parts)}",
        file=sys.stderr,
    )
    return result


def as_markdown(results: Sequence[Side]) -> str:
    """One row for each side at each size."""
    head = (
        "trials",
        "side",
        "shortest possible, s",
        "until the last trial, s",
        "until delivered, s",
        "times Ray's test",
        "times bare Ray Tune",
        "driver's processor, ms a trial",
        "of it delivery to MLflow",
        "all other processes, ms a trial",
        "ms a trial, second and last tenth",
    )
    known = {(each.trials, each.side): each for each in results}
    rows = []
    for each in results:
        ratios = [
            f"{each.delivered / known[each.trials, other].delivered:.2f}"
            if each.side != other and (each.trials, other) in known
            else ""
            for other in ("ray", "bare")
        ]
        rows.append(
            [
                f"{each.trials:,}",
                each.side,
                f"{each.shortest:.0f}",
                f"{each.seconds:.0f}",
                f"{each.delivered:.0f}",
                *ratios,
                f"{1000 * each.driver / each.trials:.1f}",
                f"{1000 * each.sender / each.trials:.1f}",
                f"{1000 * each.others / each.trials:.1f}",
                f"{1000 * each.parts[1]:.1f}, {1000 * each.parts[-1]:.1f}",
            ]
        )
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="those left out are kept")
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument(
        "--publish", action=argparse.BooleanOptionalAction, default=True, help="put the numbers into the page"
    )
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        result = SIDES[arguments.side](arguments.trials[0], arguments.slots)
        arguments.answer.write_text(json.dumps(asdict(result)))
        return
    for trials in arguments.trials:
        for side in arguments.sides:
            result = measured(side, trials, arguments.slots)
            if arguments.publish:
                known = {(each["trials"], each["side"]): Side(**each) for each in stored("ten_thousand", [])}
                known[trials, side] = result
                results = sorted(known.values(), key=lambda each: (each.trials, list(SIDES).index(each.side)))
                publish(PERFORMANCE, "ten_thousand", as_markdown(results), [asdict(each) for each in results])


if __name__ == "__main__":
    main()
