"""`noisy-study power`: from the command to the answer."""

import json
from pathlib import Path

import pytest

from study.terminal.cli import main

STUDY = """
name: small
data: {name: DATA}
teachers: [{network: lenet-mnist}]
student: {network: fc800}
arms: [{method: noisy_teacher, alpha: 0.5, sigma: [0.1, 0.5]}]
seeds: [0, 1, 2]
"""


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["noisy-study", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_power_takes_a_known_spread_for_a_file_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.yaml").write_text(STUDY.replace("DATA", "mnist"))
    assert run(monkeypatch, tmp_path, "power", "small.yaml", "--effect", "5", "--json") == 0
    (plan,) = json.loads(capsys.readouterr().out)
    assert (plan["arms"], plan["seeds"], plan["trainings"], plan["effect_percent"]) == (2, 3, 9, 5)
    assert "mnist-table-1.json" in plan["spread_source"]
    assert plan["trainings_needed"] == 3 * plan["seeds_needed"]
    assert plan["power"] < 0.8 < 1


def test_power_prints_the_command_of_a_pilot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.yaml").write_text(STUDY.replace("DATA", "digits"))
    assert run(monkeypatch, tmp_path, "power", "small.yaml") == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "noisy-study run small.yaml --name small-pilot --set 'seeds=[0, 1, 2]'" in printed.err
    assert "noisy-study power small-pilot --effect 10" in printed.err


def test_power_of_an_unknown_study_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "power", "nothing") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
