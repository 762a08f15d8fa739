"""Extending a study: what is refused before anything changes, what a kill leaves, and what the journal gets."""

import json
from itertools import islice
from pathlib import Path

import pytest
from optuna.storages import InMemoryStorage
from support.simulated import Course, run

from search_spaces.spaces import sigma_alpha
from study.config import StudyConfig, TrialConfig, dump_study, parse_study
from study.data.load import load_dataset
from study.errors import UserError
from study.lookup import exists_already, larger_study, started_study
from study.planning.extension import extended
from study.planning.keys import training_key
from study.planning.plan import confirmation_trials, grid_trials
from study.planning.proposals import proposed_arm
from study.running.journal import StageJournal
from study.running.service import Settings, extend, resume
from study.running.sources import Planned, Searched, keys_of_plan
from study.running.started import unchanged_study, with_extension
from study.running.watcher import Watcher
from study.storage import StartRecord, StudyFolder

STUDY = """
name: mine
data: {name: digits}
teachers: [{network: FC10}]
student: {network: FC10}
arms: [{method: noisy_teacher, sigma: [0.2, 0.5]}]
seeds: [0, 1]
search: {trials: 8, startup_trials: 4}
"""


def _study(*changes: str) -> StudyConfig:
    return parse_study(STUDY, "a test", changes)


def _claimed(workspace: Path) -> tuple[StudyFolder, Settings]:
    """A study that has started, and trained nothing."""
    config, settings = _study(), Settings("sqlite:///mlflow.db", workspace)
    folder = StudyFolder(settings.root, config.name)
    folder.claim(
        StartRecord(
            study_file=dump_study(config),
            tracking_uri=settings.tracking_uri,
            journal=folder.own_journal,
            data_digest=load_dataset(config.data, workspace).digest,
            weights={},
            ownership=folder.new_ownership(),
            seeds=config.fixed_seeds,
        )
    )
    return folder, settings


def _content(folder: StudyFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir() if path.name != "lock"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.epochs=61", "`train.epochs`: differs"),
        ("seeds=[1, 2]", "`seeds`: 0 is missing"),
        ("arms.0.sigma=[0.2]", "`arms.0`: a point of it is missing"),
        ("search.trials=4", "`search.trials`: 4 is less than the 8"),
        ("arms=[{method: noisy_teacher, sigma: [0.2, 0.5]}, {method: labels, student: {network: absent}}]", "absent"),
        ("seeds=[0, 1, 1]", "seeds: expected each seed once"),
    ],
)
def test_what_is_refused_leaves_nothing_half_done(workspace: Path, change: str, said: str) -> None:
    folder, settings = _claimed(workspace)
    before = _content(folder)
    with pytest.raises(UserError, match=r"\A[^\n]+\Z") as refused:
        extend(larger_study(folder, [change]), settings, Watcher())
    assert said in str(refused.value)
    assert _content(folder) == before
    assert not (workspace / "mlflow.db").exists()


def test_a_study_that_never_started_is_not_extended(workspace: Path) -> None:
    with pytest.raises(UserError, match="no study named mine"):
        extend(_study(), Settings("sqlite:///mlflow.db", workspace), Watcher())


def test_a_kill_between_the_two_files_is_finished(workspace: Path) -> None:
    """The record is written first, and then the study file. A start after a kill in between writes the file."""
    folder, _ = _claimed(workspace)
    record = folder.start_record()
    larger = extended(_study(), _study("seeds=[0, 1, 2, 3]"))
    after = with_extension(record, larger, 7)
    (folder.path / "start.json").write_text(after.model_dump_json(), encoding="utf-8")
    assert unchanged_study(folder, folder.start_record()) == larger
    assert folder.study_file.read_text(encoding="utf-8") == dump_study(larger)
    assert unchanged_study(folder, folder.start_record()).confirmation_seeds == (0, 1, 3, 4)


def test_an_extended_record_is_the_same_when_repeated(workspace: Path) -> None:
    """The command that was killed may be given again: it resumes the extension."""
    folder, _ = _claimed(workspace)
    larger = _study("seeds=[0, 1, 2]", "search.trials=20")
    once = with_extension(folder.start_record(), extended(_study(), larger), 7)
    again = with_extension(once, extended(once.study("a test"), larger), 8)
    assert again == once
    assert [change.key for change in once.extensions[0].changes] == ["seeds", "search.trials", "search.confirm.seeds"]


def test_a_larger_file_is_refused_without_extend(workspace: Path) -> None:
    folder, _ = _claimed(workspace)
    with pytest.raises(UserError, match=r"it differs in seeds\); use that file again, extend the study with --extend"):
        exists_already(_study("seeds=[0, 1, 2]"))
    folder.start_again(
        with_extension(folder.start_record(), extended(_study(), _study("seeds=[0, 1, 2]")), 7), folder.new_ownership()
    )
    assert exists_already(_study("seeds=[0, 1, 2]"))


def test_a_folder_from_before_extensions_is_read(workspace: Path) -> None:
    """Its record has neither seeds nor extensions: the study file says the seeds."""
    folder, _ = _claimed(workspace)
    file = folder.path / "start.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    for key in ("seeds", "extensions", "study_file_before"):
        del content[key]
    file.write_text(json.dumps(content), encoding="utf-8")
    config = started_study(folder)
    assert (config.search_seed, config.confirmation_seeds) == (2, (0, 1))
    assert extended(config, _study("seeds=[0, 1, 2]")).confirmation_seeds == (0, 1, 3)


def test_an_edited_file_advises_an_extension(workspace: Path) -> None:
    folder, settings = _claimed(workspace)
    folder.study_file.write_text(dump_study(_study("seeds=[0, 1, 2]")), encoding="utf-8")
    with pytest.raises(UserError, match="`seeds` is not what study mine started with; undo the change, or extend"):
        resume("mine", settings, Watcher())


# --------------------------------------------------------------------------------------------------- in the journal


def _course(trial: TrialConfig) -> Course:
    return Course([0.5, 0.1 + float(trial.sigma if isinstance(trial.sigma, float) else 0) / 100 + trial.seed / 1000])


def test_an_extended_grid_asks_for_what_is_missing() -> None:
    storage = InMemoryStorage()
    small, large = _study(), _study("seeds=[0, 1, 2, 3, 4]", "arms.0.sigma=[0.2, 0.5, 0.1, 0.7, 0.9]")
    first = run(StageJournal(storage, "s", "grid", Planned(grid_trials(small))), _course)
    journal = StageJournal(storage, "s", "grid", Planned(grid_trials(extended(small, large))))
    second = run(journal, _course, workers=3)
    assert len(first) == 6
    assert len(second) == 30 - 6
    keys = [training_key(each.trial) for each in (*first, *second)]
    assert sorted(keys) == sorted(map(training_key, grid_trials(large)))


def test_a_failed_training_of_before_is_repeated_once() -> None:
    storage = InMemoryStorage()
    small, large = _study(), _study("seeds=[0, 1, 2]")
    journal = StageJournal(storage, "s", "grid", Planned(grid_trials(small)))
    run(journal, lambda trial: Course([0.5], "failed" if trial.seed == 1 else "completed"))
    again = run(StageJournal(storage, "s", "grid", Planned(grid_trials(extended(small, large)))), _course)
    assert [each.trial.seed for each in again] == [1, 2, 1, 2, 1, 2]


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe"])
def test_a_search_that_grows_keeps_its_trials(sampler: str) -> None:
    """8 trials, then 20, are the points of a search of 20 where one trial runs at a time."""
    settings = [f"search={{trials: 8, sampler: {sampler}}}"]
    if sampler == "tpe":
        settings.append("search.startup_trials=4")
    small, large = _study(*settings), _study(*settings, "search.trials=20", "seeds=[0, 1, 2]")

    def journal(storage: InMemoryStorage, config: StudyConfig) -> StageJournal:
        source = Searched(config, proposed_arm(config, sigma_alpha), multiplications=len, classes=10)
        return StageJournal(storage, "s", "search", source, seeds=(config.search_seed,))

    grown, whole = InMemoryStorage(), InMemoryStorage()
    first = run(journal(grown, small), _course)
    second = run(journal(grown, extended(small, large)), _course)
    assert (len(first), len(second)) == (8, 12)
    assert {each.trial.seed for each in (*first, *second)} == {2}
    at_once = run(journal(whole, extended(_study(*settings, "search.trials=20"), large)), _course)
    assert [each.trial for each in (*first, *second)] == [each.trial for each in at_once]


def test_a_point_confirmed_before_stays_confirmed() -> None:
    storage = InMemoryStorage()
    small, large = _study("search={sampler: random, trials: 8}"), _study("search={sampler: random, trials: 30}")

    def searched(config: StudyConfig) -> list[TrialConfig]:
        source = Searched(config, proposed_arm(config, sigma_alpha), multiplications=len, classes=10)
        journal = StageJournal(storage, "s", "search", source)
        run(journal, lambda trial: Course([abs(float(trial.sigma) - 1.0)]))
        winners = [source.arm(trial) for trial in journal.choose(1)]
        return [trial for trial in confirmation_trials(config, winners) if trial.role == "arm"]

    before = searched(small)
    after = searched(extended(small, large))
    assert len(before) == 2
    assert len(after) == 4, "the best of 8 is the best of 30: take another formula"
    assert all(trial in after for trial in before)


def test_seeds_in_the_journal_do_not_move() -> None:
    storage = InMemoryStorage()
    source = Planned(confirmation_trials(_study(), list(islice(_study().arms, 0))))
    StageJournal(storage, "s", "confirm", source, seeds=(0, 1))
    StageJournal(storage, "s", "confirm", source, seeds=(0, 1, 3))
    with pytest.raises(UserError, match=r"has the seeds \[0, 1, 3\], and the study has \[0, 1\]"):
        StageJournal(storage, "s", "confirm", source, seeds=(0, 1))
    with pytest.raises(UserError, match="restore the study's folder or its journal"):
        StageJournal(storage, "s", "confirm", source, seeds=(1, 0, 3))


def test_the_journal_says_which_trainings_it_has() -> None:
    storage = InMemoryStorage()
    assert keys_of_plan(storage, "s.confirm") == frozenset()
    trials = confirmation_trials(_study(), [])
    run(StageJournal(storage, "s", "confirm", Planned(trials)), _course)
    assert keys_of_plan(storage, "s.confirm") == {training_key(trial) for trial in trials}
