"""The content of a table: its rows, one for each arm, and the notes below them.

Works on values alone. Knows nothing of how rows are made or printed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from study.results.arms import Arm, Setting
from study.results.measured import Measured
from study.results.rule import RULE
from study.results.statistics import Interval
from study.results.verdicts import Verdict


@dataclass(frozen=True)
class Speed:
    """How fast a row's trials reached the study's target for the validation error.

    Attributes:
        reached: how many seeds reached it.
        epochs, seconds: means over those seeds; None if there are none, or if the row lost a seed.
    """

    reached: int
    epochs: float | None
    seconds: float | None


@dataclass(frozen=True)
class RowCost:
    """The cost of a row's student, in a table with students of different cost.

    Attributes:
        multiplications: of one forward pass of one image.
        pareto: whether the row is on the Pareto front of mean test error and multiplications: no other row of the table
            is at most as large in both and smaller in one.

    Both are None if the tracked runs do not contain the cost; `pareto` is also None if the row has no mean.
    """

    multiplications: int | None
    pareto: bool | None


@dataclass(frozen=True)
class Row:
    """One arm over its seeds.

    A seed is lost when its training ended without a test error. A row that lost a seed has no mean, interval, p or
    improvement: which seeds are left depends on the training, so a mean over them would be biased.

    Attributes:
        arm: what all trainings of the row have in common. Its `stage` is `grid` for every baseline.
        stage: `grid`, or `confirm` for a searched point on seeds that the search did not use. A baseline that has
            trials of both stages belongs to the grid.
        teacher_label: the teachers in words. None, except where the table has several teachers: then it says how
            teachers of one name differ.
        n: seeds that have a test error; `n_planned` all seeds of the row; `n_diverged` lost seeds whose training
            diverged, `n_failed` those whose training failed or was stopped early.
        errors: test error by seed, fractions of 1, ascending in the seed; also those of a row that lost other seeds.
        test_error_mean: a fraction of 1; `test_error_ci95` its Student interval.
        improvement_percent: (mean baseline − mean error) / mean baseline × 100 over the seeds both have, with the
            interval that the verdict is read off; it is None where it is unbounded.
        p_value: paired t-test of this row alone; `p_corrected` by the table's rule.
        verdict: the conclusion by the table's rule.
        compression_ratio: multiplications of the teacher / of the student.
        published_error_percent, published_improvement_percent: the published numbers for this setting.
        settings: other parameters that differ between rows, by name; None if a row has no such parameter.
        speed: how fast the target error was reached; None if the trials have no target.
        cost: the student's cost; None if all students of the table cost the same.
        detectable_percent: the smallest improvement that the row's seeds find with a chance of 80 %, in per cent, at
            the lower and at the upper limit of the spread; None if it is not known.
        study: whose row it is, in a table of several studies; else None.
    """

    arm: Arm
    stage: str
    n: int
    n_planned: int
    n_diverged: int
    n_failed: int
    errors: Mapping[int, float]
    test_error_mean: float | None
    test_error_ci95: Interval | None
    improvement_percent: float | None
    improvement_ci95: Interval | None
    p_value: float | None
    p_corrected: float | None
    verdict: Verdict
    compression_ratio: float | None
    published_error_percent: float | None
    published_improvement_percent: float | None
    settings: Mapping[str, Setting | None]
    speed: Speed | None = None
    cost: RowCost | None = None
    teacher_label: str | None = None
    measured: Measured | None = None
    detectable_percent: Interval | None = None
    study: str | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the row lost a seed."""
        return self.n_diverged + self.n_failed > 0

    @property
    def mean(self) -> float:
        """`test_error_mean` of a row that has one.

        Raises:
            ValueError: it has none.
        """
        if self.test_error_mean is None:
            raise ValueError(f"a row of {self.n} of {self.n_planned} seeds has no mean error")
        return self.test_error_mean


@dataclass(frozen=True)
class Table:
    """The improvement-over-baseline table of one study. `notes` contains everything that a reader must know.

    `rule` names the statistical rule that gave the verdicts. `methods` is a paragraph for a paper; empty for a table of
    several studies.
    """

    study: str
    baseline_kind: str
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    rule: str = RULE
    methods: str = ""

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the other parameters that differ between rows."""
        return tuple(self.rows[0].settings) if self.rows else ()
