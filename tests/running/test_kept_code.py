"""A study keeps copies of the user's code, uses them, and says when the code was edited."""

from pathlib import Path

import pytest

from models import zoo
from models.own_code import copies_in
from study.config import StudyConfig, dump_study, parse_study
from study.errors import UserError
from study.planning import plan
from study.planning.keys import logits_key, teacher_key, training_key
from study.running.started import check_same_code, code_digests, keep_code, with_extension
from study.storage import StartRecord, StudyFolder

NET = "from layers_of_mine import width\nfrom torch import nn\n\n\ndef Net():\n    return nn.Linear(width, 10)\n"
OWN = "mine.py:Net"


def _study(**keys: str) -> StudyConfig:
    text = (
        "name: s\ndata: {name: digits}\nteachers: [{network: 'mine.py:Net'}]\nstudent: {network: digits-fc32}\n"
        "arms: [{method: noisy_teacher, sigma: 0.5}]\nseeds: [0]\n"
    )
    return parse_study(text, "a test", [f"{key}={value}" for key, value in keys.items()])


@pytest.fixture
def code(workspace: Path) -> Path:
    (workspace / "mine.py").write_text(NET, encoding="utf-8")
    (workspace / "layers_of_mine.py").write_text("width = 64\n", encoding="utf-8")
    return workspace


def _started(config: StudyConfig, root: Path) -> tuple[StudyFolder, StartRecord]:
    folder = StudyFolder(root, "s")
    keep_code(config, folder)
    with copies_in(folder.code):
        code = code_digests(config)
    record = StartRecord(
        study_file=dump_study(config), tracking_uri="", journal="", data_digest="", weights={}, code=code
    )
    return folder, record


def _said(folder: StudyFolder, record: StartRecord) -> list[str]:
    lines: list[str] = []
    with copies_in(folder.code):
        check_same_code(folder, record, lines.append)
    return lines


def test_references_of_every_part_of_a_study_are_found() -> None:
    config = _study(**{"arms.0.student": "{network: [nin, 'b.py:X']}", "teachers.0.teachers": "[{network: 'c.py:X'}]"})
    assert plan.own_code(config) == ["b.py:X", "mine.py:Net", "c.py:X"]


SPACE = """
from study.config import ArmConfig


def networks(trial, study):
    network = trial.suggest_categorical("network", ("mine.py:Net", "digits-fc32"))
    return ArmConfig(method="noisy_teacher", sigma=0.5, student={"network": network})
"""


def test_a_network_that_a_search_proposes_is_kept(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code is copied, and its digest is part of the keys, as for a network of the study file."""
    (code / "space_of_mine.py").write_text(SPACE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(code))
    text = (
        "name: s\ndata: {name: digits}\nteachers: [{network: digits-cnn}]\nstudent: {network: digits-fc32}\n"
        "search: {space: 'space_of_mine:networks', trials: 2}\n"
    )
    folder, record = _started(parse_study(text, "a test"), code)
    assert record.code.keys() == {OWN}
    (code / "mine.py").unlink()
    with copies_in(folder.code):
        assert vars(zoo.build(OWN, (1, 8, 8), 10))["in_features"] == 64


def test_an_edited_file_is_one_line_and_the_copy_is_used(code: Path) -> None:
    folder, record = _started(_study(), code)
    assert _said(folder, record) == []
    (code / "layers_of_mine.py").write_text("width = 32\n", encoding="utf-8")
    (line,) = _said(folder, record)
    assert line.startswith("mine.py has changed since study s started; the study uses its copy in ")
    assert line.endswith("to use the new code, start another study with --name")
    with copies_in(folder.code):
        assert vars(zoo.build(OWN, (1, 8, 8), 10))["in_features"] == 64


def test_a_study_needs_only_its_copies(code: Path) -> None:
    folder, record = _started(_study(), code)
    (code / "mine.py").unlink()
    (code / "layers_of_mine.py").unlink()
    assert len(_said(folder, record)) == 1
    with copies_in(folder.code):
        assert code_digests(_study()) == record.code


def test_a_resume_keeps_nothing_twice(code: Path) -> None:
    folder, _ = _started(_study(), code)
    before = sorted(folder.code.rglob("*"))
    with copies_in(folder.code):
        keep_code(_study(), folder)
    assert sorted(folder.code.rglob("*")) == before


def test_a_copy_that_was_changed_is_refused(code: Path) -> None:
    folder, record = _started(_study(), code)
    (folder.code / "mine.py").write_text(NET + "# edited\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"the copy of mine\.py in .* is not what study s started with; restore it"):
        _said(folder, record)


def test_an_extension_adds_code_and_keeps_what_there_was(code: Path) -> None:
    folder, record = _started(_study(), code)
    (code / "mine.py").write_text("edited = True\n", encoding="utf-8")
    (code / "new.py").write_text(NET, encoding="utf-8")
    larger = _study(arms="[{method: noisy_teacher, sigma: 0.5, student: {network: [digits-fc32, 'new.py:Net']}}]")
    keep_code(larger, folder)
    with copies_in(folder.code):
        extended = with_extension(record, larger, 1)
    assert extended.code.keys() == {OWN, "new.py:Net"}
    assert extended.code[OWN] == record.code[OWN]
    assert (folder.code / "mine.py").read_text(encoding="utf-8") == NET


def test_the_digest_of_code_is_part_of_every_key_that_depends_on_it() -> None:
    config = _study()
    teacher, (baseline, arm) = plan.teacher_trials(config)[0], plan.grid_trials(config)
    one, other = {OWN: "1"}, {OWN: "2"}
    given = teacher.model_copy(update={"weights": "w"})

    def keys(digests: dict[str, str]) -> list[str]:
        trainings = [training_key(trial, digests) for trial in (teacher, arm, baseline, given)]
        return [*trainings, teacher_key(config.teachers, digests), logits_key(teacher, "images", digests)]

    assert all(len(set(three)) == 3 for three in zip(keys(one), keys(other), keys({}), strict=True))


def test_other_keys_do_not_depend_on_code() -> None:
    trial = plan.grid_trials(_study(**{"teachers.0.network": "digits-cnn"}))[0]
    assert training_key(trial, {OWN: "1"}) == training_key(trial)
