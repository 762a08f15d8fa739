"""Seconds that a trial costs beside its training, against Ray Tune's defaults with its own MLflow callback.

Both sides run 40 trials of one epoch of one linear layer on scikit-learn's digits, which takes milliseconds, with two
workers, and end with 40 runs in MLflow on SQLite. One side is a real study. The other is what a user of Ray Tune writes
who follows its documentation: a `Tuner`, a function, `MLflowLoggerCallback`. The seconds are those from the first
trial's request to the end of Ray, everything delivered, divided by the number of trials.

    python -m benchmarks.overhead [--rounds 3]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.page import PERFORMANCE, publish, spread, table

TRIALS = 40
WORKERS = 2


@dataclass(frozen=True)
class Result:
    """Seconds per trial on both sides, one number a round, and the ratio Ray Tune / study."""

    study: list[float]
    ray_tune: list[float]

    @property
    def ratios(self) -> list[float]:
        return [ray_tune / study for ray_tune, study in zip(self.ray_tune, self.study, strict=True)]


def of_study() -> float:
    from benchmarks.untrained import run, study_of
    from study.running.watcher import Watcher

    class Begin(Watcher):
        at = 0.0

        def stage_begins(self, name: str, total: int, done: int, workers: int) -> None:
            if name == "grid":
                assert (total, done, workers) == (TRIALS, 0, WORKERS)
                self.at = time.perf_counter()

    begin = Begin()
    run(study_of(TRIALS, "grid"), begin, trained=True)
    return (time.perf_counter() - begin.at) / TRIALS


def train_digits(config: dict[str, float]) -> None:
    """One epoch of one linear layer on noisy logits, as a function for Ray Tune."""
    import torch
    from ray import tune
    from sklearn.datasets import load_digits

    torch.set_num_threads(1)
    digits = load_digits()
    images, labels = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
    targets = torch.nn.functional.one_hot(labels, 10).float()
    network = torch.nn.Linear(64, 10)
    optimizer = torch.optim.Adam(network.parameters())
    for batch in torch.split(torch.randperm(1400), 64):
        noisy = targets[batch] * (1 + config["sigma"] * torch.randn(len(batch), 10))
        loss = (network(images[batch]) - noisy).square().sum(dim=1).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    wrong = network(images[1400:]).argmax(dim=1) != labels[1400:]
    tune.report({"val_error": float(wrong.float().mean())})


def of_ray_tune() -> float:
    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    with tempfile.TemporaryDirectory() as folder:
        ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
        began = time.perf_counter()
        results = tune.Tuner(
            train_digits,
            param_space={"sigma": tune.uniform(0.01, 2.0)},
            tune_config=tune.TuneConfig(num_samples=TRIALS, metric="val_error", mode="min"),
            run_config=tune.RunConfig(
                storage_path=folder,
                callbacks=[MLflowLoggerCallback(f"sqlite:///{folder}/mlflow.db", experiment_name="digits")],
            ),
        ).fit()
        assert len(results) == TRIALS, "trials failed"
        assert not results.errors, results.errors[0]
        ray.shutdown()
        return (time.perf_counter() - began) / TRIALS


SIDES: dict[str, Callable[[], float]] = {"study": of_study, "ray-tune": of_ray_tune}


def measured(side: str) -> float:
    """A side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.overhead", "--side", side]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    with tempfile.NamedTemporaryFile("w+") as answer:
        subprocess.run(
            [*command, "--answer", answer.name],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return float(answer.read())


def measure(rounds: int) -> Result:
    """Both sides in turn, as often as asked."""
    result = Result([], [])
    for _ in range(rounds):
        result.study.append(measured("study"))
        result.ray_tune.append(measured("ray-tune"))
        print(f"study {result.study[-1]:.3f}, Ray Tune {result.ray_tune[-1]:.3f} s per trial", file=sys.stderr)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        arguments.answer.write_text(str(SIDES[arguments.side]()))
        return
    result = measure(arguments.rounds)
    rows = [
        ["a study", spread(result.study), ""],
        ["Ray Tune's defaults", spread(result.ray_tune), f"{statistics.median(result.ratios):.1f}"],
    ]
    publish(PERFORMANCE, "overhead", table(("", "seconds per trial", "times a study"), rows), asdict(result))


if __name__ == "__main__":
    main()
