"""The notes under a table: its seeds, how its points were found, and what is left out and why.

Works on a tracked study, its arms and their comparisons, and returns sentences. Knows nothing of rows or of how a table
is printed.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from search_spaces.published import TABLES, dropout_readings, published_teacher_percent
from study.config import LEARNING_SAMPLERS, TrainConfig
from study.results.arms import Arm, ArmSeeds, is_missing
from study.results.families import Finding
from study.results.read import OUTCOMES, TrackedStudy, epochs_trained
from study.results.rule import RULE, is_inside
from study.results.statistics import mean
from study.results.teachers import labels_apart, teacher_settings
from study.results.wording import count, percent, some, two_digits
from study.stages import CONFIRM, SEARCH
from study.tracking import schema


def published_notes(tracked: TrackedStudy, by_arm: Iterable[Arm]) -> tuple[str | None, list[str]]:
    """The name of the published table that is shown beside ours, and notes about it."""
    name = tracked.params.get(schema.PUBLISHED)
    if not name:
        return None, []
    if name not in TABLES:
        return None, [f"The study file names a published table `{name}`, which this package does not have."]
    table = TABLES[name]
    datasets = {value for arm in by_arm for setting, value in arm.settings if setting == schema.DATASET}
    if datasets - {table.dataset}:
        return None, [f"No published numbers are shown: {table.citation}, is about {table.dataset}."]
    notes = [
        f"Published: {table.citation}: single runs. The best run of its table was chosen on the test set whose error "
        "is published."
    ]
    if table.remark:
        notes.append(f"About the published numbers: {table.remark}.")
    drops = {value for arm in by_arm for setting, value in arm.settings if setting == schema.DROPOUT}
    for drop in sorted(value for value in drops if not isinstance(value, str)) if name == "table-5" else ():
        as_drop, as_keep = dropout_readings(drop)
        notes.append(
            f"Drop probability {drop:g}: the published error is {percent(as_drop)} if the source's ratio is the "
            f"probability of dropping, and {percent(as_keep)} if it is the probability of keeping."
        )
    return name, notes


def method_notes(
    tracked: TrackedStudy, kind: str, arms: Mapping[Arm, ArmSeeds], planned_in_all: int | None = None
) -> list[str]:
    """Which baseline the table has, how many seeds, and what intervals and verdicts mean."""
    if not any(seeds.completed or seeds.lost for seeds in arms.values()):
        return ["No completed trial of the stages grid or confirm yet."]
    notes = [
        f"Baseline: {kind}.",
        _seeds_note(list(arms.values())),
        f"Intervals are 95 % confidence intervals for the variation of {_seeds_vary(tracked)} the same for all seeds. "
        "Intervals of test errors: Student's t over the seeds.",
    ]
    planned = planned_in_all or sum(arm.role != "baseline" for arm in arms)
    if planned:
        notes.append(
            "Improvement: (baseline error - error) / baseline error over the seeds that an arm shares with the "
            "baseline of its student. Its interval is that of the rule "
            f"`{RULE}`, which also gives p corrected, for the {count(planned, 'arm')} of this table: an arm is better "
            "or worse if its interval does not contain 0, that is if p corrected is below 5 %. p: paired t-test of the "
            "arm alone."
        )
    return notes


def _seeds_vary(tracked: TrackedStudy) -> str:
    """What the seeds of a study train anew, and what they do not."""
    if "teacher" in tracked.params.get(schema.VARY, "").split(","):
        return "the training of teachers and students (each seed trains teachers of its own); the data split is"
    return "the student's training; teacher and data split are"


def _seeds_note(rows: Sequence[ArmSeeds]) -> str:
    planned = some(list(map(str, sorted({seed for row in rows for seed in row.planned}))))
    sizes = sorted({len(row.errors) for row in rows})
    each = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    if any(len(row.errors) < len(row.planned) for row in rows):
        return f"Rows have {each} of their planned seeds (all seeds: {planned})."
    return f"Every row has {each} seed{'s' if sizes[-1] != 1 else ''} (all seeds: {planned})."


def lost_notes(arms: Mapping[Arm, ArmSeeds]) -> list[str]:
    """Which rows lost seeds, and the errors of the seeds that they have left."""
    notes = []
    for arm, seeds in arms.items():
        if not seeds.lost:
            continue
        by_outcome: dict[str, list[str]] = defaultdict(list)
        for seed, trial in seeds.lost.items():
            by_outcome[trial.outcome].append(str(seed))
        ways = [f"{_seeds_words(of_outcome)} {outcome}" for outcome, of_outcome in by_outcome.items()]
        left = [f"seed {seed} {percent(error * 100)}" for seed, error in seeds.errors.items()]
        notes.append(
            f"Seeds lost, so no mean and no verdict: {arm}, {', '.join(ways)}; "
            f"{'test errors of the others: ' + ', '.join(left) if left else 'no seed has a test error'}."
        )
    if any(arm.role == "baseline" and seeds.lost for arm, seeds in arms.items()):
        notes.append("If a baseline lost a seed, the arms of its student have no improvement and no verdict.")
    return notes


def collapsed_notes(arms: Mapping[Arm, ArmSeeds]) -> list[str]:
    """Networks that predict the same class for every test image. They are results like others, and stay in the rows."""
    named = [
        f"{arm} {_seeds_words(collapsed)}"
        for arm, seeds in arms.items()
        if (collapsed := [str(seed) for seed, trial in seeds.completed.items() if trial.predicted_classes == 1])
    ]
    return [f"Predicts one class only: {'; '.join(named)}."] if named else []


def _seeds_words(seeds: Sequence[str]) -> str:
    """`seed 3`, `seeds 0, 2`."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"


def teacher_notes(tracked: TrackedStudy, published: str | None) -> list[str]:
    """The teachers' own errors, one note for each teacher, over its seeds if each seed of the study trains it."""
    column = f"metrics.{schema.TEST_ERROR}"
    if column not in tracked.teachers:
        return []
    runs: dict[tuple[str, str | None], dict[object, Mapping[str, Any]]] = defaultdict(dict)
    for run in tracked.teachers.dropna(subset=[column]).to_dict("records"):
        names = (f"params.{schema.TEACHER_CHAIN}", f"params.{schema.TEACHER}", "tags.mlflow.runName")
        name = next((str(run[each]) for each in names if not is_missing(run.get(each))), "?")
        key = run.get(f"params.{schema.TEACHER_KEY}")
        # Runs without a key are distinguished by their errors.
        of_key = runs[name, f"error {run[column]}" if is_missing(key) else str(key)]
        of_key[run.get(f"params.{schema.SEED}")] = {str(k): v for k, v in run.items()}
    settings = teacher_settings(tracked)
    keys_of: dict[str, list[str | None]] = defaultdict(list)
    for name, key in runs:
        if key in settings:
            keys_of[name].append(key)
    notes = []
    for (name, key), of_seeds in runs.items():
        known, errors = next(iter(of_seeds.values())), [float(run[column]) for run in of_seeds.values()]
        label = labels_apart(name, keys_of[name], settings).get(key, name)
        printed = published_teacher_percent(str(known.get(f"params.{schema.DATASET}")), name)
        beside = f" (published: {percent(printed)})" if published and printed is not None else ""
        one_class = sum(run.get(f"metrics.{schema.PREDICTED_CLASSES}") == 1 for run in of_seeds.values())
        if len(errors) == 1:
            said, collapsed = percent(errors[0] * 100), ", predicts one class only" if one_class else ""
        else:
            said = f"{percent(mean(errors) * 100)}, the mean of {count(len(errors), 'seed')}"
            said += f" ({percent(min(errors) * 100)} to {percent(max(errors) * 100)})"
            collapsed = f", {one_class} of them predict one class only" if one_class else ""
        notes.append(f"Teacher {label}: test error {said}{beside}{collapsed}.")
    return list(dict.fromkeys(notes))


def target_notes(by_arm: Iterable[Arm]) -> list[str]:
    """What the columns about the target error contain."""
    targets = {value for arm in by_arm for setting, value in arm.settings if setting == schema.TARGET_ERROR}
    return [
        f"To target: epochs and seconds, validation included, until the validation error was at most "
        f"{percent(target * 100)}; means over the seeds that reached it."
        for target in sorted(value for value in targets if not isinstance(value, str))
    ]


def cost_notes(rows: int, unknown: int, without_mean: int) -> list[str]:
    """How the Pareto front is marked.

    Args:
        rows: how many rows have a cost.
        unknown: for how many of them the multiplications are not known.
        without_mean: how many of the others have no mean error.
    """
    if not rows:
        return []
    left_out = f" Left out: {count(unknown, 'row')} whose multiplications are not known." if unknown else ""
    if without_mean:
        left_out += f" Left out: {count(without_mean, 'row')} without a mean error."
    return [
        "Front: * marks the Pareto front of mean test error and the student's multiplications: no other row is at "
        "least as good in both and better in one. Only means are compared, so a row may be on the front by chance."
        f"{left_out}"
    ]


def search_notes(tracked: TrackedStudy, by_arm: Collection[Arm]) -> list[str]:
    """How the confirmed points and the baseline's settings were found."""
    of_arms, of_baseline = tracked.searched()
    confirmed = [arm for arm in by_arm if arm.stage == CONFIRM]
    costs = f"params.{schema.MULTIPLICATIONS}"
    several_costs = costs in of_arms and of_arms[costs].nunique() > 1
    notes = []
    if not of_arms.empty:
        # With students of different cost, points of the Pareto front are confirmed, and not the lowest errors.
        winners = f"{len(confirmed)} of its points" if several_costs else _best_of(len(confirmed))
        outcome = _confirmed(winners, len(confirmed))
        if _number(tracked, schema.CONFIRM_POINTS) == 0:
            outcome = "every completed point is the same training as the baseline, so no arm is confirmed"
        notes.append(f"Searched: {_found_by(tracked, of_arms)}; {outcome}.")
    if not of_baseline.empty:
        winner = _confirmed(_best_of(1), int(any(arm.role == "baseline" for arm in by_arm)))
        notes.append(f"Baseline searched: {_found_by(tracked, of_baseline)}; {winner}.")
    notes += _search_limits(tracked, pd.concat([of_arms, of_baseline]))
    if of_baseline.empty and (chosen := _varied(of_arms)):
        notes.append(
            f"The search chose {', '.join(chosen)} for its points but not for the baseline, so a difference may come "
            "from these settings alone."
        )
    return notes


def _search_limits(tracked: TrackedStudy, trials: pd.DataFrame) -> list[str]:
    """Whether a search found too few points, repeated trainings, or ended before its sampler learned."""
    notes = []
    top, points = _number(tracked, schema.CONFIRM_TOP), _number(tracked, schema.CONFIRM_POINTS)
    if top is not None and points is not None and points < top:
        ones = f"has {points} different one{'' if points == 1 else 's'}" if points else "has none"
        where = " on its Pareto front" if "," in tracked.params.get(schema.OBJECTIVES, "") else ""
        notes.append(
            f"confirm.top asks for {count(top, 'point')}, but the search {ones}{where}. Trainings of the baseline do "
            "not count."
        )
    repeats = f"tags.{schema.REPEATS}"
    if repeats in trials and (repeated := int(trials[repeats].notna().sum())):
        notes.append(
            f"{count(repeated, 'trial')} of the search repeated a training: the result of the earlier trial was used, "
            "and the training did not run again."
        )
    sampler = tracked.params.get(schema.SAMPLER)
    startup, asked = _number(tracked, schema.STARTUP_TRIALS), _number(tracked, schema.SEARCH_TRIALS)
    if sampler in LEARNING_SAMPLERS and startup is not None and asked is not None and startup >= asked:
        notes.append(
            f"All trials of the search were random: the sampler {sampler} learns after startup_trials ({startup}), and "
            f"the search has {count(asked, 'trial')}."
        )
    return notes


def _number(tracked: TrackedStudy, name: str) -> int | None:
    """A parameter of the parent run that is a whole number; None if it has none."""
    value = tracked.params.get(name, "")
    return int(value) if value.isdecimal() else None


def _found_by(tracked: TrackedStudy, trials: pd.DataFrame) -> str:
    """`40 trials (12 pruned) by validation error on 1 seed, 352 epochs in total`."""
    counts = dataclasses.replace(tracked, trials=trials).counts().loc[SEARCH].to_dict()
    others = [f"{counts[name]} {name}" for name in OUTCOMES if name != "completed" and counts.get(name)]
    words = count(len(trials), "trial") + (f" ({', '.join(others)})" if others else "") + " by validation error"
    if (seed := f"params.{schema.SEED}") in trials:
        words += f" on {count(trials[seed].nunique(), 'seed')}"
    epochs = epochs_trained(trials)
    if epochs is None:
        return words
    incomplete = trials[trials[f"tags.{schema.OUTCOME}"].notna()][f"metrics.{schema.EPOCHS_TRAINED}"].isna().any()
    return f"{words}, {'at least ' if incomplete else ''}{count(epochs, 'epoch')} in total"


def _best_of(number: int) -> str:
    return "its best" if number == 1 else f"its best {number}"


def _confirmed(winners: str, number: int) -> str:
    if number == 0:
        return "none is confirmed yet"
    return f"{winners} {'was' if number == 1 else 'were'} confirmed"


def _varied(trials: pd.DataFrame) -> list[str]:
    """Training settings that differ between these trials. A baseline has such settings too."""
    columns = {name: f"params.{name}" for name in TrainConfig.model_fields}
    return [name for name, column in columns.items() if column in trials and trials[column].nunique(dropna=False) > 1]


def pairing_notes(
    arms: Mapping[Arm, ArmSeeds], baselines: Mapping[str, ArmSeeds], findings: Mapping[Arm, Finding]
) -> list[str]:
    """Seeds that an arm and its baseline do not share, and differences that are the same on all seeds."""
    notes = []
    unpaired: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for arm in findings:
        missing = tuple(sorted(arms[arm].errors.keys() ^ baselines[arm.student].errors.keys()))
        if missing:
            unpaired[missing].append(str(arm))
    for seeds, named in unpaired.items():
        notes.append(
            f"Not paired, so not compared: seed{'s' if len(seeds) > 1 else ''} "
            f"{some(list(map(str, seeds)))} of {some(named)} (only the arm or only its baseline has a result)."
        )
    without_spread = [str(arm) for arm, found in findings.items() if found.judged.verdict == "no_spread"]
    if without_spread:
        notes.append(f"The difference is the same on all seeds, so a test is not possible: {some(without_spread)}.")
    return notes


def verdict_notes(findings: Mapping[Arm, Finding], smallest_effect: float | None) -> list[str]:
    """What the study can detect, which improvements have no interval, and which do not matter."""
    notes = []
    ranges = {found.detectable_percent for found in findings.values()} - {None}
    known = [each for each in ranges if each is not None]
    if known:
        low, high = min(each[0] for each in known), max(each[1] for each in known)
        spread = max(found.spread[1] for found in findings.values() if found.spread is not None)
        varies = f"a difference varies between seeds by up to {two_digits(spread * 100)} % of the baseline's error"
        if low < 100:
            most = f"{two_digits(high)} %" if high < 100 else "more than 100 %"
            notes.append(
                f"With these seeds an improvement of {two_digits(low)} % to {most} is detected with a chance of 80 %. "
                f"It is a range because few seeds measure the spread roughly: {varies}. An undecided arm may still be "
                "better by less than this."
            )
        else:
            notes.append(
                f"With these seeds no improvement is detected with a chance of 80 %, because {varies}. An undecided "
                "arm may still be better."
            )
    unbounded = [
        str(arm)
        for arm, found in findings.items()
        if found.judged.p_value is not None and found.judged.improvement_interval is None
    ]
    if unbounded:
        notes.append(
            "The interval of the improvement is unbounded, because the baseline's mean error does not differ from 0: "
            f"{some(unbounded)}."
        )
    if smallest_effect is not None:
        notes.append(f"An improvement inside ± {smallest_effect:g} % does not matter (`smallest_effect`).")
        small = [
            str(arm)
            for arm, found in findings.items()
            if found.judged.verdict in ("better", "worse")
            and is_inside(found.judged.improvement_interval, smallest_effect)
        ]
        if small:
            notes.append(f"Better or worse by less than {smallest_effect:g} %: {some(small)}.")
    return notes
