"""A study as `study.results.read` returns it, written down without a tracking server.

Figures and reports are tested on it. It asserts nothing about them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from study.results.figures.chosen import by_validation
from study.results.figures.material import Histories
from study.results.figures.pictures import Sketches, sketches_of
from study.results.read import TrackedStudy
from study.results.table import table_of
from study.tracking import schema
from support.handwritten import BASELINE, COMMON, T0

Setting = tuple[float, float]

SEEDS = (0, 1, 2)


class Sheet:
    """Makes a study, training by training."""

    def __init__(self, **params: str) -> None:
        self._params = params
        self._trials: list[dict[str, object]] = []
        self._teachers: list[dict[str, object]] = []
        self._histories: dict[str, pd.Series[float]] = {}

    def train(
        self,
        seed: int,
        val: float | None,
        test: float | None = None,
        *,
        role: str = "arm",
        stage: str = "grid",
        outcome: str = "completed",
        seconds: float | None = None,
        history: Sequence[float] = (),
        measured: Mapping[str, float] | None = None,
        **params: Any,
    ) -> str:
        """Add one finished training. Trainings begin a second apart and last half a second."""
        began = T0 + 1000 * len(self._trials)
        run_id = f"run-{len(self._trials):04}"
        known = {schema.BEST_VAL_ERROR: val, schema.TEST_ERROR: test, schema.TRAIN_SECONDS: seconds, **(measured or {})}
        settings = {**COMMON, **(BASELINE if role == "baseline" else {}), **params, "seed": seed}
        self._trials.append(
            {
                "run_id": run_id,
                "status": "FINISHED",
                "start_time": began,
                "end_time": began + 500,
                **{f"params.{name}": str(value) for name, value in settings.items()},
                **{f"metrics.{name}": value for name, value in known.items() if value is not None},
                f"tags.{schema.ROLE}": role,
                f"tags.{schema.STAGE}": stage,
                f"tags.{schema.OUTCOME}": outcome,
            }
        )
        if history:
            self._histories[run_id] = pd.Series(list(history), index=range(1, len(history) + 1))
        return run_id

    def grid(self, means: Mapping[Setting, float], *, seeds: Sequence[int] = SEEDS, **params: Any) -> "Sheet":
        """Add a grid with these mean errors by (σ, α), and a small spread between seeds. (0, 0) is the baseline."""
        for (sigma, alpha), mean in means.items():
            noise = {"sigma": sigma, "alpha": alpha} if sigma else {}
            for seed in seeds:
                chance = np.random.default_rng([seed, round(100 * sigma), round(100 * alpha)])
                error = mean + 0.001 * seed + chance.normal(scale=1e-4)
                self.train(seed, error, error, role="arm" if sigma else "baseline", **{**params, **noise})
        return self

    def teacher(self, network: str, error: float, **params: str) -> "Sheet":
        settings = {f"params.{name}": value for name, value in {"teacher": network, **params}.items()}
        self._teachers.append({**settings, f"metrics.{schema.TEST_ERROR}": error})
        return self

    def tracked(self) -> TrackedStudy:
        columns = ["run_id", "status", "start_time", "end_time"]
        columns += [f"tags.{tag}" for tag in (schema.ROLE, schema.STAGE, schema.OUTCOME)]
        trials = pd.DataFrame(self._trials) if self._trials else pd.DataFrame(columns=columns, dtype="str")
        return TrackedStudy("sheet", trials, pd.DataFrame(self._teachers), self._params, {}, "FINISHED")

    def histories(self, run_ids: Sequence[str], metric: str) -> Histories:
        assert metric == schema.VAL_ERROR
        return {run_id: self._histories[run_id] for run_id in run_ids if run_id in self._histories}

    def sketches(self) -> Sketches:
        tracked = self.tracked()
        return sketches_of(tracked, table_of(tracked), by_validation(tracked), self.histories)

    def names(self) -> list[str]:
        """The names of its figures."""
        return [sketch.name for sketch in self.sketches().sketches]


OVER_SIGMA = {(0, 0): 0.10, (0.1, 0.5): 0.11, (0.5, 0.5): 0.09}
