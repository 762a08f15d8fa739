"""What a study can detect: the power of the rule, and the answers that are made of it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from study.config import parse_study
from study.planning.overview import arms_of_students
from study.results.detection import detectable, power, seeds_needed, spread_limits
from study.results.power import KNOWN, Plan, Spread, as_json, as_text, planned_plans, warning
from study.results.rule import Family, judge

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def test_the_power_is_how_often_the_rule_finds_the_effect() -> None:
    """Studies that are drawn and judged one by one find it as often as the function says."""
    rng = np.random.default_rng(1)
    family, effect, found = Family(4), 0.02, 0
    for _ in range(300):
        errors = 0.2 + rng.normal(0, 0.01 / math.sqrt(2), (5, 5))
        errors[:, 1] -= effect
        found += judge(errors[:, 0], errors[:, 1:], family)[0].verdict == "better"
    assert found / 300 == pytest.approx(power(effect / 0.01, 5, family), abs=0.09)


def test_one_arm_has_the_power_of_the_paired_test() -> None:
    effect, seeds = 2.0, 5
    critical = stats.t.isf(0.025, seeds - 1)
    expected = stats.nct.sf(critical, seeds - 1, effect * math.sqrt(seeds))
    assert power(effect, seeds, Family(1)) == pytest.approx(expected, abs=0.03)


def test_the_detectable_effect_has_a_power_of_80_percent() -> None:
    family = Family(10)
    assert power(detectable(5, family), 5, family) == pytest.approx(0.8, abs=0.001)
    assert detectable(3, family) > detectable(5, family) > detectable(10, family)
    assert detectable(2, family) == math.inf
    assert power(100, 2, family) == 0


def test_the_needed_seeds_are_the_fewest() -> None:
    family = Family(10)
    needed = seeds_needed(1.5, family)
    assert needed is not None
    assert detectable(needed, family) <= 1.5 < detectable(needed - 1, family)
    assert seeds_needed(0.01, family) is None


def test_80_of_100_spreads_lie_below_the_upper_limit() -> None:
    rng = np.random.default_rng(2)
    variances = rng.chisquare(6, 4000) / 6
    limits = [spread_limits(float(variance), 6) for variance in variances]
    assert np.mean([high >= 1 for _, high in limits]) == pytest.approx(0.8, abs=0.02)
    assert np.mean([low <= 1 for low, _ in limits]) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("dataset", KNOWN)
def test_known_spreads_are_those_of_the_files_they_name(dataset: str) -> None:
    """The half width of a row's paired interval is t times its spread / √n."""
    name = next(word for word in KNOWN[dataset].source.split() if word.endswith(".json"))
    rows = json.loads((RESULTS / Path(name).name).read_text("utf-8"))["rows"]
    variances = []
    for row in rows:
        if row["role"] == "arm" and row["improvement_ci95"] is not None:
            low, high = row["improvement_ci95"]
            half = (high - low) / 200
            variances.append((half * math.sqrt(row["n"]) / stats.t.isf(0.025, row["n"] - 1)) ** 2)
    assert math.sqrt(np.mean(variances)) == pytest.approx(KNOWN[dataset].of_difference, abs=0.0006)


def plan(seeds: int = 3, hours: float | None = 0.5) -> Plan:
    return Plan("fc32, grid", Family(4), seeds, Spread(0.05, "a pilot"), 10.0, hours)


def test_a_plan_counts_trainings_and_hours() -> None:
    assert plan().trainings(3) == 15
    assert plan().hours(3) == 7.5
    assert plan(hours=None).hours(3) is None
    needed = plan().seeds_needed
    assert needed is not None
    assert plan(needed).chance >= 0.8 > plan(needed - 1).chance


def test_the_plan_is_printed_in_words_and_in_json() -> None:
    text = as_text([plan()])
    (document,) = as_json([plan()])
    assert f"{document['seeds_needed']} seeds, {document['trainings_needed']} trainings" in text
    assert "5 % of the baseline's error (a pilot)" in text
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert as_json([plan(seeds=1)])[0]["detectable_percent"] is None


def test_a_file_that_can_detect_10_percent_has_no_warning() -> None:
    needed = plan().seeds_needed
    assert needed is not None
    assert warning([plan(needed)]) is None
    said = warning([plan()])
    assert said is not None
    assert f"{needed} seeds are needed for 80 %" in said


def test_arms_of_a_file_are_points_and_not_trainings() -> None:
    text = """
name: two-students
data: {name: digits}
teachers: [{network: digits-cnn}]
student: {network: digits-fc32}
arms:
  - {method: noisy_teacher, alpha: 0.5, sigma: [0.1, 0.5, 0.9]}
  - {method: labels, student: {network: digits-fc16}}
seeds: [0, 1, 2, 3]
"""
    points = arms_of_students(parse_study(text, "text"))
    assert points == {"digits-fc32": 3, "digits-fc16": 1}
    plans = planned_plans(points, 4, Spread(0.05, "a pilot"), 10.0)
    assert [each.family.share for each in plans] == [0.75, 0.25]
