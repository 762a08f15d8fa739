"""What the search is worth, on an error with a known optimum: real Ray, Optuna and MLflow, and no training.

Slow (hundreds of trials), so not among the tests that run by default: `pytest -m slow`.
"""

import json
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.cloudpickle
from support import synthetic
from support.synthetic import ALPHA, SIGMA, SyntheticTrainable

from search_spaces.spaces import sigma_alpha
from study.config import StudyConfig, TrialConfig, parse_study
from study.planning.proposals import proposed_arm
from study.results.read import epochs_trained, read_study
from study.running import tune_stage
from study.running.engine import Capacity, ray_engine
from study.running.job import TrialJob
from study.running.journal import StageJournal, open_storage
from study.running.run_stage import run_stage
from study.running.sources import Searched
from study.running.stage import Placement, StageRun
from study.running.trainable import NodeRefs
from study.running.watcher import Watcher
from study.tracking import schema
from study.tracking.client import TrackingClient
from study.tracking.events import StudyBegan, StudyEnded, now_ms
from study.tracking.names import Cost, run_params

pytestmark = pytest.mark.slow

FILE = """
name: synthetic
data: {name: digits}
teachers: [{network: digits-cnn}]
student: {network: digits-fc32}
"""
TRIALS = 60


@pytest.fixture(scope="module")
def capacity() -> Iterator[Capacity]:
    # The workers cannot import what lies beside the tests.
    ray.cloudpickle.register_pickle_by_value(synthetic)  # type: ignore[no-untyped-call]
    with ray_engine(None, verbose=False, resume_hint=str) as found:
        yield found


class Search:
    """One search of 60 trials, from the study file to its journal and its runs on a tracking server."""

    def __init__(self, folder: Path, seed: int, epochs: int, workers: int, **search: object) -> None:
        keys = {"sampler": "tpe", "trials": TRIALS, "seed": seed, **search}
        self.config: StudyConfig = parse_study(
            FILE, "test", [f"search={json.dumps(keys)}", f"name=s{seed}", f"train.epochs={epochs}"]
        )
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        source = Searched(self.config, proposed_arm(self.config, sigma_alpha), multiplications=len, classes=10)
        storage = open_storage(f"sqlite:///{folder / f'{self.config.name}.db'}")
        self.journal = StageJournal(storage, self.config.name, "search", source)
        tracking = TrackingClient(self.uri, self.config.name)
        tracking.apply([StudyBegan(study_file=FILE, params={schema.DATASET: "digits"}, tags={})])
        run = StageRun(
            journal=self.journal,
            job=lambda number, trial_id, trial: TrialJob(number, trial, folder / trial_id, None, folder),
            params=self._params,
            track=lambda event: tracking.apply([event]),
            watcher=Watcher(),
            workers=workers,
        )
        nothing: Any = ray.put(None)
        run_stage(run, Placement(workers, 1, 0), NodeRefs(nothing, nothing))
        tracking.apply([StudyEnded(status="FINISHED", timestamp_ms=now_ms())])

    def _params(self, trial: TrialConfig) -> dict[str, str]:
        return run_params(trial, "digits", Cost(1, 1), None)

    @property
    def best(self) -> tuple[float, float]:
        """σ and α of the winner."""
        (winner,) = self.journal.best(1)
        return winner.params["sigma"], winner.params["alpha"]

    @property
    def found_the_optimum(self) -> bool:
        """Within a tenth of each range."""
        sigma, alpha = self.best
        return abs(sigma - SIGMA) <= 0.2 and abs(alpha - ALPHA) <= 0.1

    @property
    def tracked(self) -> dict[str, int]:
        """How many trials ended how, by the tracking server."""
        counts: dict[Hashable, Any] = read_study(self.uri, self.config.name).counts().loc["search"].to_dict()
        return {str(outcome): int(number) for outcome, number in counts.items()}

    @property
    def epochs(self) -> int:
        """Epochs trained, by the tracking server."""
        return epochs_trained(read_study(self.uri, self.config.name).trials) or 0


@pytest.fixture(autouse=True)
def _nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_stage, "DistillationTrainable", SyntheticTrainable)


def test_tpe_finds_the_neighbourhood_of_the_optimum(tmp_path: Path, capacity: Capacity) -> None:
    searches = [Search(tmp_path, seed, epochs=1, workers=2) for seed in range(10)]
    found = [search.found_the_optimum for search in searches]
    print("TPE found it from", sum(found), "of 10 seeds:", [search.best for search in searches])  # noqa: T201
    assert sum(found) >= 9
    assert all(search.tracked == {"completed": TRIALS} for search in searches)


def test_asha_finds_it_for_two_fifths_of_the_epochs(tmp_path: Path, capacity: Capacity) -> None:
    fifo = Search(tmp_path, 100, epochs=9, workers=2)
    asha = Search(tmp_path, 101, epochs=9, workers=2, scheduler="asha", reduction_factor=3)
    print("epochs:", asha.epochs, "of", fifo.epochs, "outcomes:", asha.tracked, "best:", asha.best)  # noqa: T201
    assert fifo.epochs == TRIALS * 9
    assert fifo.found_the_optimum
    assert asha.found_the_optimum
    assert asha.epochs <= 0.4 * fifo.epochs
    assert sum(asha.tracked.values()) == TRIALS
