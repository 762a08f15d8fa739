"""One look: what it decides, what it leaves open, and what it never changes."""

from collections.abc import Mapping

import numpy as np
import pytest

from study.results.looks import Look, LookVerdict, look, look_family
from study.results.rule import judge

ROUNDS = (3, 5, 8, 12, 20)
SEEDS = range(20)
Errors = dict[str, dict[int, float]]


def drawn(improvements: Mapping[str, float], spread: float = 0.002, seed: int = 1) -> tuple[dict[int, float], Errors]:
    """A baseline of 10 % error, and arms that are better by this share of it, over 20 seeds."""
    rng = np.random.default_rng(seed)
    values = 0.1 * (1 - np.array([0.0, *improvements.values()])) + rng.normal(0, spread, (20, 1 + len(improvements)))
    baseline, *arms = ({seed: float(error) for seed, error in zip(SEEDS, column, strict=True)} for column in values.T)
    return baseline, dict(zip(improvements, arms, strict=True))


def all_looks(baseline: dict[int, float], errors: Errors, smallest_effect: float | None = None) -> list[Look]:
    """Looks until no arm is open, as a study makes them."""
    looks: list[Look] = []
    frozen: dict[str, LookVerdict] = {}
    for k in range(1, len(ROUNDS) + 1):
        looks.append(look(k, ROUNDS, SEEDS, errors, baseline, frozen, len(errors), smallest_effect))
        frozen |= {**looks[-1].decided, **looks[-1].futile}
        if not looks[-1].open:
            break
    return looks


def verdict_of(arm: str, found: Look) -> LookVerdict:
    return {**found.decided, **found.open, **found.futile}[arm]


def test_a_look_is_the_rule_at_the_level_of_the_look() -> None:
    baseline, errors = drawn({"a": 0.0, "b": 0.01, "c": 0.3})
    found = look(2, ROUNDS, SEEDS, errors, baseline, {}, 7)
    family = look_family(2, ROUNDS, 7)
    assert family.level < 0.05
    assert family.planned == 7
    expected = judge(
        [baseline[seed] for seed in range(5)], [[errors[arm][seed] for arm in errors] for seed in range(5)], family
    )
    verdicts = {**found.decided, **found.open, **found.futile}
    for arm, judged in zip(errors, expected, strict=True):
        assert verdicts[arm].difference_interval == judged.difference_interval
        assert verdicts[arm].improvement_interval == judged.improvement_interval
        assert verdicts[arm].verdict == judged.verdict


def test_large_differences_are_decided_before_small_ones() -> None:
    baseline, errors = drawn({"large": 0.3, "small": 0.035, "harmful": -0.3})
    looks = all_looks(baseline, errors)
    assert looks[0].decided["large"].verdict == "better"
    assert looks[0].decided["harmful"].verdict == "worse"
    assert "small" in looks[0].open


def test_later_seeds_never_change_a_look() -> None:
    """What was trained beyond the look is not used, whatever it is."""
    baseline, errors = drawn({"a": 0.02, "b": 0.3})
    spoiled = {arm: {seed: error if seed < 5 else 0.9 for seed, error in of.items()} for arm, of in errors.items()}
    assert look(2, ROUNDS, SEEDS, spoiled, baseline, {}, 2) == look(2, ROUNDS, SEEDS, errors, baseline, {}, 2)


def test_an_arm_that_ended_is_not_judged_again() -> None:
    baseline, errors = drawn({"a": 0.02, "b": 0.3})
    frozen = look(1, ROUNDS, SEEDS, errors, baseline, {}, 2).decided
    assert set(frozen) == {"b"}
    later = look(2, ROUNDS, SEEDS, errors, baseline, frozen, 2)
    assert {*later.decided, *later.open, *later.futile, *later.lost} == {"a"}


def test_arms_that_ended_still_count_as_planned() -> None:
    baseline, errors = drawn({"a": 0.02, "b": 0.3})
    frozen = look(1, ROUNDS, SEEDS, errors, baseline, {}, 2).decided
    both = verdict_of("a", look(2, ROUNDS, SEEDS, errors, baseline, frozen, 2))
    alone = verdict_of("a", look(2, ROUNDS, SEEDS, {"a": errors["a"]}, baseline, {}, 1))
    assert both.difference_interval is not None
    assert alone.difference_interval is not None
    assert both.difference_interval[0] < alone.difference_interval[0]


def test_p_and_interval_of_every_look_agree() -> None:
    """`p_corrected` is compared with 5 % at every look, as in every table."""
    decided = 0
    for seed in range(30):
        baseline, errors = drawn({"a": 0.0, "b": 0.02, "c": 0.05, "d": -0.05}, seed=seed)
        for found in all_looks(baseline, errors):
            for verdict in [*found.decided.values(), *found.open.values(), *found.futile.values()]:
                assert verdict.difference_interval is not None
                assert verdict.p_corrected is not None
                excludes = verdict.difference_interval[0] > 0 or verdict.difference_interval[1] < 0
                assert excludes == (verdict.p_corrected < 0.05) == (verdict.verdict in ("better", "worse"))
                decided += excludes
    assert decided > 30


def test_arms_without_effect_stop_before_the_last_look() -> None:
    stopped = [
        found
        for seed in range(20)
        for found in all_looks(*drawn(dict.fromkeys("abcdef", 0.0), seed=seed))
        for verdict in found.futile.values()
        if verdict.futile and verdict.verdict == "undecided" and verdict.n < 20
    ]
    assert len(stopped) > 100


def test_no_arm_is_futile_at_the_last_look() -> None:
    baseline, errors = drawn(dict.fromkeys("abc", 0.0))
    found = look(5, ROUNDS, SEEDS, errors, baseline, {}, 3)
    assert not found.futile
    assert set(found.open) == {"a", "b", "c"}


def test_equal_arms_show_no_difference_that_matters() -> None:
    """With a smallest effect equality is an answer: none of these arms is futile."""
    baseline, errors = drawn(dict.fromkeys("abc", 0.0))
    looks = all_looks(baseline, errors, smallest_effect=10)
    assert {arm for found in looks for arm in found.decided} == {"a", "b", "c"}
    assert all(verdict.verdict == "no_difference_that_matters" for each in looks for verdict in each.decided.values())


def test_a_verdict_is_the_same_after_json() -> None:
    baseline, errors = drawn({"a": 0.02, "b": 0.3})
    found = look(1, ROUNDS, SEEDS, errors, baseline, {}, 2)
    for verdict in [*found.decided.values(), *found.open.values(), *found.futile.values()]:
        assert LookVerdict.model_validate_json(verdict.model_dump_json()) == verdict
        assert verdict.judged().difference_interval == verdict.difference_interval


def test_the_order_of_the_arms_does_not_matter() -> None:
    baseline, errors = drawn({"a": 0.0, "b": 0.02, "c": 0.3})
    turned = dict(reversed(errors.items()))
    one, other = (look(2, ROUNDS, SEEDS, each, baseline, {}, 3) for each in (errors, turned))
    for a, b in ((one.decided, other.decided), (one.open, other.open), (one.futile, other.futile)):
        assert a.keys() == b.keys()
        for arm in a:
            assert a[arm].difference_interval == pytest.approx(b[arm].difference_interval)


def test_an_arm_that_lost_a_seed_gets_no_more() -> None:
    baseline, errors = drawn({"a": 0.02, "b": 0.02})
    del errors["b"][1]
    found = look(1, ROUNDS, SEEDS, errors, baseline, {}, 2)
    assert found.lost == ("b",)
    assert set(found.open) == {"a"}


def test_a_baseline_that_lost_a_seed_ends_all_open_arms() -> None:
    baseline, errors = drawn({"a": 0.02, "b": 0.3})
    del baseline[4]
    frozen = look(1, ROUNDS, SEEDS, errors, baseline, {}, 2).decided
    found = look(2, ROUNDS, SEEDS, errors, baseline, frozen, 2)
    assert (found.lost, dict(found.open)) == (("a",), {})


def test_one_round_is_a_study_of_fixed_seeds() -> None:
    baseline, errors = drawn({"a": 0.02, "b": 0.3})
    found = look(1, [5], SEEDS, errors, baseline, {}, 2)
    expected = judge([baseline[s] for s in range(5)], [[errors[arm][s] for arm in errors] for s in range(5)])
    verdicts = {**found.decided, **found.open}
    for arm, judged in zip(errors, expected, strict=True):
        assert verdicts[arm].difference_interval == pytest.approx(judged.difference_interval, rel=1e-9)


@pytest.mark.parametrize("k", [0, 6])
def test_a_look_that_was_not_planned_is_refused(k: int) -> None:
    baseline, errors = drawn({"a": 0.02})
    with pytest.raises(ValueError, match=f"look {k} of 5"):
        look(k, ROUNDS, SEEDS, errors, baseline, {}, 1)
