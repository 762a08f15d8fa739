"""Tables of studies whose seeds are not fixed: verdicts are those of the looks, whatever came later."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from mlflow import MlflowClient
from support.handwritten import Writer

from study.errors import UserError
from study.results.arm_looks import ArmLook, State
from study.results.looks import look
from study.results.read import read_study
from study.results.rows import Row, Table
from study.results.table import table_of
from study.tracking import schema

pytest_plugins = ["support.handwritten"]
NewStudy = Callable[..., Writer]

ROUNDS, SEEDS = (3, 5, 8), tuple(range(8))
BASELINE = {0: 0.200, 1: 0.204, 2: 0.198, 3: 0.201, 4: 0.203}
CLEAR = {0: 0.100, 1: 0.105, 2: 0.097}
OPEN = {0: 0.190, 1: 0.199, 2: 0.195, 3: 0.196, 4: 0.192}


def _look(state: State, arm: Mapping[int, float], number: int = 1, seeds: int = 3) -> ArmLook:
    """What the look really finds of these errors."""
    found = look(number, ROUNDS, SEEDS, {"it": arm}, BASELINE, {}, planned=2)
    verdict = {**found.open, **found.decided, **found.futile}.get("it")
    return ArmLook(look=number, state=state, seeds=seeds, verdict=None if state == "lost" else verdict)


class Rounds:
    """A study in rounds, with a decided arm and an open one."""

    def __init__(self, uri: str, client: MlflowClient, study: Writer) -> None:
        self.uri, self.client, self.study = uri, client, study
        self.ids: dict[float, str] = {}

    def arm(self, sigma: float, errors: Mapping[int, float], found: ArmLook | None) -> None:
        for seed, error in errors.items():
            run = self.study.trial(seed, error, sigma=sigma)
            self.client.set_tag(run, schema.TRIAL_ID, f"grid-{sigma}-{seed}")
        if found is not None:
            self.client.set_tag(self.study.parent, f"{schema.VERDICT}grid-{sigma}-0", found.model_dump_json())

    def table(self) -> Table:
        return table_of(read_study(self.uri, self.study.name))

    def rows(self) -> dict[object, Row]:
        return {row.arm.sigma: row for row in self.table().rows}


@pytest.fixture
def rounds(uri: str, client: MlflowClient, new_study: NewStudy) -> Rounds:
    study = new_study(seeds=",".join(map(str, SEEDS)), seed_rounds="3,5,8")
    study.baseline(BASELINE)
    made = Rounds(uri, client, study)
    made.arm(0.1, CLEAR, _look("decided", CLEAR))
    made.arm(0.2, OPEN, _look("open", OPEN, 2, 8))
    return made


def test_a_table_reads_the_verdicts_of_the_looks(rounds: Rounds) -> None:
    clear, still = rounds.rows()[0.1], rounds.rows()[0.2]
    frozen = _look("decided", CLEAR).verdict
    assert frozen is not None
    assert (clear.verdict, clear.p_corrected, clear.improvement_ci95) == (
        "better",
        frozen.p_corrected,
        frozen.improvement_interval,
    )
    assert (clear.n, clear.n_planned) == (3, 3)
    assert (still.verdict, still.n, still.n_planned) == ("undecided", 5, 8)
    assert still.detectable_percent is not None
    assert clear.detectable_percent is not None
    assert rounds.rows()[None].n_planned == 8, "the baseline has the seeds of the arm with most"
    assert rounds.table().rule == "guarded-dunnett-looks"


def test_later_seeds_of_the_baseline_change_no_verdict(rounds: Rounds) -> None:
    """Also a baseline that loses a seed later."""
    before = rounds.rows()[0.1]
    rounds.study.baseline({5: 0.9, 6: 0.01})
    rounds.study.trial(7, None, role="baseline", outcome="diverged")
    after = rounds.rows()
    # The spread is that of all arms, and uses later seeds too.
    assert replace(after[0.1], detectable_percent=None) == replace(before, detectable_percent=None)
    assert after[0.2].verdict == "seeds_lost"


def test_an_arm_before_its_first_look_is_undecided(rounds: Rounds) -> None:
    """Three seeds that look clear are no verdict as long as the round has not ended."""
    rounds.arm(0.3, {0: 0.05, 1: 0.051, 2: 0.049}, None)
    row = rounds.rows()[0.3]
    assert (row.verdict, row.improvement_ci95, row.p_corrected, row.n_planned) == ("undecided", None, None, 3)


def test_an_arm_that_lost_a_seed_has_no_verdict(rounds: Rounds) -> None:
    rounds.arm(0.3, {0: 0.19, 1: 0.2}, ArmLook(look=1, state="lost", seeds=3, verdict=None))
    rounds.study.trial(2, None, sigma=0.3, outcome="diverged")
    assert rounds.rows()[0.3].verdict == "seeds_lost"


def test_notes_say_when_the_study_looked(rounds: Rounds) -> None:
    notes = "\n".join(rounds.table().notes)
    assert "rounds that end with 3, 5, 8 seeds, fixed before the first training" in notes
    assert "Decided with 3 seeds: noisy_teacher σ=0.1" in notes
    assert "Open after 5 seeds: noisy_teacher σ=0.2" in notes
    assert "Not paired" not in notes, "seeds that only the baseline has belong to open arms"


def test_notes_say_why_a_study_stopped(rounds: Rounds) -> None:
    rounds.client.log_param(rounds.study.parent, schema.STOPPED, "budget.trainings is 16; 15 trainings ran")
    assert "Stopped after a whole round: budget.trainings is 16; 15 trainings ran." in rounds.table().notes
    rounds.client.set_tag(rounds.study.parent, f"{schema.NOW}{schema.STOPPED}", "")
    assert "Stopped" not in "\n".join(rounds.table().notes)


def test_a_tag_that_is_no_verdict_is_one_line(rounds: Rounds) -> None:
    rounds.client.set_tag(rounds.study.parent, f"{schema.VERDICT}grid-0001", "better")
    with pytest.raises(UserError, match=r"^[^\n]*tag `noisy_study.verdict.grid-0001` is `better`, not a verdict"):
        rounds.table()
