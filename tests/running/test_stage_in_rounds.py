"""Seeds in rounds: decisions at whole rounds, the same after any kill, and no training of an arm that is decided."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.storages import BaseStorage, InMemoryStorage

from study.config import StudyConfig, TrialConfig, parse_study
from study.planning.growth import confirmation_rounds, grid_rounds
from study.planning.plan import confirmation_trials, count_arms, grid_trials
from study.records import TrainingSummary, TrialReport
from study.results.arm_looks import ArmLook
from study.running.journal import StageJournal
from study.running.rounds import RoundsOfStage
from study.running.sources import Planned, keys_of_plan
from study.running.spent import over_budget, spent
from study.tracking import schema
from study.tracking.ended import EndedRun
from study.tracking.events import Event, RunBegan, RunEnded, StudyTags

STUDY = """
name: s
data: {name: digits}
teachers: [{network: FC10}]
student: {network: FC10}
arms: [{method: noisy_teacher, sigma: [0.1, 0.2, 0.3, 0.4]}]
seeds: {first: 3, at_most: 12, until: decided}
"""
Errors = Callable[[TrialConfig], float | None]


class Killed(Exception):
    """The driver was killed."""


def _study(*changes: str) -> StudyConfig:
    return parse_study(STUDY, "a test", changes)


def _noise(trial: TrialConfig) -> float:
    return random.Random(f"{trial.seed} {trial.sigma} {trial.method}").gauss(0, 1)


def errors(trial: TrialConfig) -> float | None:
    """σ = 0.1 helps at once, 0.2 helps less, 0.3 hardly, 0.4 not at all."""
    effect = {0.1: 0.10, 0.2: 0.012, 0.3: 0.006}.get(trial.sigma if isinstance(trial.sigma, float) else 0.0, 0.0)
    return round(0.2 - (effect if trial.role == "arm" else 0.0) + 0.004 * _noise(trial), 6)


class Stage:
    """A stage in rounds over a journal in memory; trainings follow a formula.

    Args:
        config: the study.
        errors: test error of a training; None: it diverges.
        workers: trials at once; later ones end first.
    """

    def __init__(self, config: StudyConfig, errors: Errors = errors, workers: int = 1) -> None:
        self.config, self.errors, self.workers = config, errors, workers
        self.storage: BaseStorage = InMemoryStorage()
        self.trained: list[TrialConfig] = []
        self.tags: dict[str, str] = {}
        self.rounds: list[int] = []

    def track(self, event: Event) -> None:
        assert isinstance(event, StudyTags)
        self.tags |= event.tags

    def run(
        self, kill_after: int | None = None, over: Callable[[int], str | None] = lambda trainings: None
    ) -> tuple[list[str], str | None]:
        rounds, trials = grid_rounds(self.config), grid_trials(self.config)
        assert rounds is not None
        budget = kill_after

        def train(source: Planned) -> list[str]:
            nonlocal budget
            journal = StageJournal(self.storage, "s", "grid", source)
            self.rounds.append(source.total)
            todo = journal.unfinished()
            while True:
                while len(todo) < self.workers and (asked := journal.ask()) is not None:
                    todo.append(asked)
                if not todo:
                    return journal.reasons("failed")
                if budget is not None:
                    budget -= 1
                    if budget < 0:
                        raise Killed
                self._end(journal, *todo.pop())

        of_stage = RoundsOfStage(self.config, "grid", trials, rounds, count_arms(trials), {}, self.storage, self.track)
        return of_stage.run(train, over)

    def _end(self, journal: StageJournal, number: int, trial: TrialConfig) -> None:
        error = self.errors(trial)
        summary = TrainingSummary(
            outcome="completed" if error is not None else "diverged",
            epochs=1,
            best_val_error=error,
            test_error=error,
            train_seconds=36.0,
            reason=None if error is not None else "a reason",
        )
        trial_id = journal.trial_id(number)
        began = RunBegan(
            trial_id=trial_id, kind="trial", role=trial.role, stage="grid", name="x", params={}, timestamp_ms=number
        )
        run = EndedRun(began=began, ended=RunEnded(trial_id=trial_id, summary=summary, timestamp_ms=number))
        journal.tell(TrialReport(number=number, summary=summary), run)
        self.trained.append(trial)

    @property
    def looks(self) -> dict[str, ArmLook]:
        """What the last look found, by σ."""
        by_trial = {
            tag.removeprefix(schema.VERDICT): ArmLook.model_validate_json(text) for tag, text in self.tags.items()
        }
        planned = StageJournal(self.storage, "s", "grid", Planned(grid_trials(self.config)))
        return {
            str(planned.source.trial_config(trial).sigma): by_trial[planned.trial_id(trial.number)]
            for trial in planned._trials()
            if planned.trial_id(trial.number) in by_trial
        }

    def seeds(self) -> dict[str, int]:
        """How many seeds every arm was trained with; `baseline` too."""
        found: dict[str, set[int]] = {}
        for trial in self.trained:
            found.setdefault("baseline" if trial.role == "baseline" else str(trial.sigma), set()).add(trial.seed)
        return {name: len(seeds) for name, seeds in found.items()}


@pytest.fixture(scope="module")
def whole() -> Stage:
    """The study where nothing happens to it."""
    stage = Stage(_study())
    assert stage.run() == ([], None)
    return stage


def test_an_arm_that_is_decided_gets_no_more_seeds(whole: Stage) -> None:
    seeds, looks = whole.seeds(), whole.looks
    assert looks["0.1"].state == "decided"
    assert looks["0.1"].verdict is not None
    assert looks["0.1"].verdict.verdict == "better"
    assert seeds["0.1"] == 3
    assert set(looks) == {"0.1", "0.2", "0.3", "0.4"}
    for sigma, found in looks.items():
        assert found.state != "open"
        assert seeds[sigma] == found.seeds == (3, 5, 8, 12)[found.look - 1]
    assert seeds["baseline"] == max(found.seeds for found in looks.values()) > 3


def test_no_training_runs_twice(whole: Stage) -> None:
    assert len({repr(trial) for trial in whole.trained}) == len(whole.trained)
    assert whole.rounds == sorted(whole.rounds), "a plan grows"


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 25), min_size=1, max_size=4), st.integers(1, 3))
def test_kills_and_workers_change_no_digit(whole: Stage, kills: list[int], workers: int) -> None:
    stage = Stage(_study(), workers=workers)
    for after in kills:
        try:
            stage.run(kill_after=after)
        except Killed:
            continue
    assert stage.run() == ([], None)
    assert stage.tags.keys() == whole.tags.keys() or workers > 1
    assert {sigma: each.model_dump_json() for sigma, each in stage.looks.items()} == {
        sigma: each.model_dump_json() for sigma, each in whole.looks.items()
    }
    assert sorted(map(repr, stage.trained)) == sorted(map(repr, whole.trained))


def test_a_finished_stage_trains_nothing_and_says_it_again(whole: Stage) -> None:
    trained, tags = len(whole.trained), dict(whole.tags)
    whole.tags.clear()
    assert whole.run() == ([], None)
    assert len(whole.trained) == trained
    assert whole.tags == tags, "a server that lost the verdicts gets them again"


def test_an_arm_that_lost_a_seed_ends(whole: Stage) -> None:
    stage = Stage(_study(), lambda trial: None if trial.sigma == 0.4 and trial.seed == 1 else errors(trial))
    assert stage.run() == ([], None)
    assert (stage.looks["0.4"].state, stage.looks["0.4"].verdict) == ("lost", None)
    assert stage.seeds()["0.4"] == 3
    assert stage.looks["0.1"] == whole.looks["0.1"].model_copy(update={"verdict": stage.looks["0.1"].verdict})


def test_a_baseline_that_lost_a_seed_ends_what_is_open(whole: Stage) -> None:
    """Verdicts of before stay."""
    stage = Stage(_study(), lambda trial: None if trial.role == "baseline" and trial.seed == 4 else errors(trial))
    assert stage.run() == ([], None)
    assert stage.looks["0.1"] == whole.looks["0.1"]
    lost = [sigma for sigma, found in stage.looks.items() if found.state == "lost"]
    assert lost == [sigma for sigma, found in whole.looks.items() if found.look > 1]


def test_a_round_with_failures_has_no_look() -> None:
    """A resume runs the failed training again, so a look without it would be another one than the next."""
    stage = Stage(_study())

    def fails(source: Planned) -> list[str]:
        return ["grid-0001: a reason"]

    rounds, trials = grid_rounds(stage.config), grid_trials(stage.config)
    assert rounds is not None
    of_stage = RoundsOfStage(stage.config, "grid", trials, rounds, 4, {}, stage.storage, stage.track)
    assert of_stage.run(fails) == (["grid-0001: a reason"], None)
    assert stage.tags == {}


# ------------------------------------------------------------------------------------------------------- the budget


def test_a_budget_stops_after_a_whole_round(whole: Stage) -> None:
    """What is open stays open. With a larger budget the study has the verdicts that it would have had."""
    stage = Stage(_study("budget={trainings: 16}"))

    def over(trainings: int) -> str | None:
        return over_budget(stage.config.budget, spent(stage.storage, "s"), trainings)

    failures, why = stage.run(over=over)
    assert failures == []
    assert why is not None
    assert why.startswith("budget.trainings is 16; 15 trainings ran, and the next round has ")
    assert len(stage.trained) == 15
    assert "open" in {found.state for found in stage.looks.values()}
    assert stage.run(over=over) == (failures, why), "a resume changes nothing"
    stage.config = _study("budget={trainings: 500}")
    assert stage.run(over=over) == ([], None)
    assert stage.tags == whole.tags


def test_a_round_that_has_begun_is_finished() -> None:
    """A budget is asked between rounds. After a kill in a round, the round is finished whatever it costs."""
    stage = Stage(_study())
    with pytest.raises(Killed):
        stage.run(kill_after=17)
    failures, why = stage.run(over=lambda trainings: "too much")
    assert (failures, why) == ([], "too much")
    assert len(stage.trained) > 17
    assert {found.look for found in stage.looks.values() if found.state == "open"} == {2}


def test_hours_add_up_over_starts() -> None:
    """Each training takes 36 seconds, whichever start ran it."""
    stage = Stage(_study())
    with pytest.raises(Killed):
        stage.run(kill_after=10)
    assert spent(stage.storage, "s").hours == pytest.approx(0.1)
    budget = _study("budget={hours: 0.2}").budget
    assert over_budget(budget, spent(stage.storage, "s"), 10) is None
    said = over_budget(budget, spent(stage.storage, "s"), 11)
    assert said == (
        "budget.hours is 0.2; 0.1 hours of training ran, and the next round has 11 trainings, about 0.11 hours"
    )


# ------------------------------------------------------------------------------------------------- the confirmation


def test_a_confirmation_takes_the_same_setting() -> None:
    config = _study("search={trials: 4, startup_trials: 2}")
    grid, confirm = grid_rounds(config), confirmation_rounds(config)
    assert grid is not None
    assert confirm is not None
    assert grid.ends == confirm.ends == (3, 5, 8, 12)
    assert config.search_seed == 12 not in confirm.seeds
    own = _study("search={trials: 4, startup_trials: 2, confirm: {seeds: {first: 4, at_most: 6, until: decided}}}")
    rounds = confirmation_rounds(own)
    assert rounds is not None
    assert rounds.ends == (4, 5, 6)
    assert confirmation_rounds(_study("search={trials: 4, startup_trials: 2, confirm: {seeds: 4}}")) is None


def test_a_confirmation_uses_the_baselines_of_the_grid() -> None:
    """The grid ended with fewer seeds than the confirmation needs: those that are missing are confirmed."""
    stage = Stage(_study("search={trials: 4, startup_trials: 2}"))
    stage.run()
    in_grid = keys_of_plan(stage.storage, "s.grid")
    from study.planning.keys import training_key

    winner = stage.config.arms[0].model_copy(update={"sigma": (0.37,)})
    trials = confirmation_trials(stage.config, [winner], in_grid=lambda trial: training_key(trial) in in_grid)
    baselines = {trial.seed for trial in trials if trial.role == "baseline"}
    assert baselines == set(range(12)) - set(range(stage.seeds()["baseline"]))
    tracked: dict[str, Any] = {}
    rounds = confirmation_rounds(stage.config)
    assert rounds is not None

    def train(source: Planned) -> list[str]:
        journal = StageJournal(stage.storage, "s", "confirm", source)
        while (asked := journal.ask()) is not None:
            stage._end(journal, *asked)
        return []

    def track(event: Event) -> None:
        assert isinstance(event, StudyTags)
        tracked.update(event.tags)

    of_stage = RoundsOfStage(stage.config, "confirm", trials, rounds, 5, {}, stage.storage, track)
    assert of_stage.run(train) == ([], None)
    found: Mapping[str, ArmLook] = {tag: ArmLook.model_validate_json(text) for tag, text in tracked.items()}
    (only,) = found.values()
    assert only.verdict is not None
    assert only.verdict.n == only.seeds
