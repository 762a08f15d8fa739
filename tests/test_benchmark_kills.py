"""What a count of faults without harm says."""

from typing import Any

import pytest
from support import plans

from benchmarks import interleavings, kills

WORKER = "`kill -9` of a worker"
LINE: dict[str, Any] = {
    "kind": WORKER,
    "seed": 0,
    "verdict": "same",
    "reason": "",
    "injected": {"start or resume": 1, "kill a worker": 3},
    "starts": 2,
    "trials": 10,
    "lost": 0,
    "doubled": 0,
    "changed": 0,
    "same_table": True,
    "seconds": 20.0,
    "lines": ["a line"],
    "commit": "abc",
}
WRONG: dict[str, Any] = {**LINE, "seed": 1, "verdict": "wrong", "reason": "lost ['grid-0000']", "lost": 1}


@pytest.mark.parametrize(("injected", "rate"), [(30, 0.095), (10, 0.259), (0, 1.0)])
def test_no_harm_in_n_faults_bounds_the_rate(injected: int, rate: float) -> None:
    """Exact: at the bound, no harm in n faults has a probability of 5 %."""
    bound = kills.bound(injected)
    assert bound == pytest.approx(rate, abs=5e-4)
    assert injected == 0 or (1 - bound) ** injected == pytest.approx(0.05)


def test_a_fault_that_harmed_a_study_has_no_bound() -> None:
    (row,) = [row for row in kills.summary([LINE, WRONG]) if row["fault"] == WORKER]
    assert (row["injected"], row["lost"], row["wrong"]) == (6, 1, [{"seed": 1, "reason": "lost ['grid-0000']"}])
    assert "bound" not in row
    assert "| 1 of 2 studies were harmed |" in kills.markdown([row])


def test_a_fault_without_harm_has_a_bound() -> None:
    rows = kills.summary([LINE])
    assert [row["injected"] for row in rows if row["fault"] == WORKER] == [3]
    assert f"| {WORKER} | 3 | 0 | 0 | 0 | 63.2 % |" in kills.markdown(rows)


def test_soak_is_summarised_by_operation_and_seed() -> None:
    found = interleavings.summary([LINE, WRONG])
    assert found["injected"]["kill a worker"] == 6
    assert found["verdicts"] == {"same": 1, "wrong": 1}
    assert found["wrong"] == [{"seed": 1, "reason": "lost ['grid-0000']"}]
    assert found["printed"] == {"a line": 2}


def test_five_faults_are_left_to_the_interleavings() -> None:
    left = set(plans.KILLS) - set(kills.not_interleaved())
    assert left == {
        "`kill -9` of the driver",
        "`kill -9` of a worker",
        "the tracking server is killed and started again",
        "the tracking server goes back to a backup",
        "the driver is killed and its outbox lost",
    }


def test_interleavings_without_harm_bound_each_operation() -> None:
    page = interleavings.markdown(interleavings.summary([LINE]))
    assert "| kill a worker | 3 | 63.2 % |" in page


def test_interleavings_with_harm_have_no_bound() -> None:
    page = interleavings.markdown(interleavings.summary([LINE, WRONG]))
    assert "| kill a worker | 6 | 1 of 2 studies were harmed |" in page
