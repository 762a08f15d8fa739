"""What was confirmed once is lost: on the tracking server, in the journal, in the outbox. And folders are copied."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.disturbed import SMALL, Study, unharmed
from support.undisturbed import Undisturbed

pytestmark = pytest.mark.faults


def _remove(folder: Path, name: str) -> None:
    for file in folder.glob(f"{name}*"):
        if file.is_file():
            file.unlink()


def _killed(study: Study, after: int = 2) -> None:
    """Start a study and kill it once so many trials have ended."""
    with study.start() as driver:
        driver.until(lambda: len(list(study.trials.glob("*/result.json"))) >= after, f"{after} trials end")
        driver.kill()


def _empty_server(study: Study) -> None:
    _remove(study.folder, "mlflow.db")


def _restore_server(study: Study) -> None:
    shutil.copy(study.folder / "before" / "mlflow.db", study.folder / "mlflow.db")


def _delete_outbox(study: Study) -> None:
    _remove(study.trials.parent, "outbox.db")


def _delete_journal(study: Study) -> None:
    _remove(study.trials.parent, "journal.db")


@pytest.mark.parametrize(
    ("fault", "lose"),
    [
        ("the tracking store is emptied between a kill and its resume", _empty_server),
        ("the outbox is deleted between a kill and its resume", _delete_outbox),
        ("the journal is deleted between a kill and its resume", _delete_journal),
    ],
)
def test_a_resume_makes_up_for_what_is_lost(
    tmp_path: Path, undisturbed: Undisturbed, fault: str, lose: Callable[[Study], None]
) -> None:
    study = Study(tmp_path, SMALL)
    _killed(study)
    lose(study)
    study.finish("resume", study.name)
    unharmed(study, undisturbed(SMALL), fault, 1)


def test_a_backup_of_the_server_gets_what_it_lacks(tmp_path: Path, undisturbed: Undisturbed) -> None:
    study = Study(tmp_path, SMALL)
    _killed(study, 1)
    (tmp_path / "before").mkdir()
    shutil.copy(tmp_path / "mlflow.db", tmp_path / "before" / "mlflow.db")
    with study.command("resume", study.name) as driver:
        driver.until(lambda: len(list(study.trials.glob("*/result.json"))) >= 4, "more trials end")
        driver.kill()
    _restore_server(study)
    study.finish("resume", study.name)
    unharmed(study, undisturbed(SMALL), "a backup of the tracking store is restored before a resume", 1)


def test_sync_brings_a_finished_study_to_an_empty_server(tmp_path: Path, undisturbed: Undisturbed) -> None:
    study = Study(tmp_path, SMALL)
    study.finish("run", study.file.name)
    _empty_server(study)
    with study.command("sync", study.name) as driver:
        assert driver.ends() == 0, driver.stderr
    unharmed(study, undisturbed(SMALL), "the tracking store of a finished study is emptied; `sync` later", 1)


def test_a_copied_folder_is_refused_once_the_study_went_on(tmp_path: Path, undisturbed: Undisturbed) -> None:
    server = f"sqlite:///{tmp_path / 'shared.db'}"
    study = Study(tmp_path / "original", SMALL, server)
    _killed(study)
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    study.finish("resume", study.name)
    copy = Study(tmp_path / "copy", SMALL, server)
    for words in (("resume", copy.name), ("sync", copy.name)):
        with copy.command(*words) as driver:
            assert driver.ends() != 0
        assert "after this folder was copied or restored" in driver.stderr
        assert driver.stderr.count("\n") == 1
    unharmed(study, undisturbed(SMALL), "a copied folder is resumed after the original", 1)


def test_two_first_starts_of_one_name_share_no_study(tmp_path: Path, undisturbed: Undisturbed) -> None:
    server = f"sqlite:///{tmp_path / 'shared.db'}"
    studies = [Study(tmp_path / folder, SMALL, server) for folder in ("one", "two")]
    with studies[0].start() as one, studies[1].start() as two:
        statuses = {0: one.ends(), 1: two.ends()}
        assert sorted(statuses.values()) == [0, 2], one.stderr + two.stderr
    winner, loser = (0, 1) if statuses[0] == 0 else (1, 0)
    assert (one, two)[loser].stderr.count("\n") == 1, (one, two)[loser].stderr
    unharmed(studies[winner], undisturbed(SMALL), "one name is started in two folders at once", 1)
    assert not (studies[loser].trials.parent).exists()
