"""A study that trains in bf16 on a processor where bf16 is slow prints a line. Other studies do not."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from study.config import StudyConfig, dump_study, parse_study
from study.distill.processor import MeasuredProcessor
from study.running.bf16 import slow_precision
from study.terminal.cli import main

BF16: dict[str, Any] = {"precision": "bf16"}
SEARCHED = {"space": "sigma_alpha", "trials": 1}


def _processor(bf16_speed: float) -> MeasuredProcessor:
    return MeasuredProcessor(name="a processor", onednn_speed=1.0, bf16_speed=bf16_speed)


def _study(**changes: Any) -> StudyConfig:
    document = {
        "name": "precise",
        "data": {"name": "digits"},
        "teachers": [{"network": "digits-cnn"}],
        "student": {"network": "digits-fc32"},
        "arms": [{"method": "noisy_teacher", "sigma": 0.5}],
    }
    return parse_study(yaml.safe_dump(document | changes), "a test")


@pytest.mark.parametrize(
    ("changes", "is_printed"),
    [
        ({}, False),
        ({"train": BF16}, True),
        ({"train": {"precision": "tf32"}}, False),
        ({"teachers": [{"network": "digits-cnn", "train": BF16}]}, True),
        ({"baseline": {"method": "logit_regression", "train": BF16}}, True),
        ({"arms": [{"method": "labels", "train": {"precision": ["fp32", "bf16"]}}]}, True),
        ({"arms": [], "search": {**SEARCHED, "train": {"precision": ["fp32", "bf16"]}}}, True),
        ({"arms": [], "search": {**SEARCHED, "train": {"lr": [0.1, 0.01]}}}, False),
        ({"train": BF16, "resources": {"gpus_per_trial": 1}}, False),
    ],
)
def test_a_study_in_bf16_on_a_slow_cpu_prints_a_line(changes: dict[str, Any], is_printed: bool) -> None:
    assert (slow_precision(_study(**changes), _processor(0.5)) is not None) == is_printed
    assert slow_precision(_study(**changes), _processor(2.0)) is None


@pytest.mark.parametrize(("precision", "is_printed"), [("bf16", True), ("fp32", False)])
def test_validate_prints_the_line_beside_the_study(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    precision: str,
    is_printed: bool,
) -> None:
    monkeypatch.setattr("study.distill.processor.measured_processor", lambda: _processor(0.5))
    config = _study(train={"precision": precision})
    file = tmp_path / "study.yaml"
    file.write_text(dump_study(config), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["noisy-study", "validate", str(file)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    printed = capfd.readouterr()
    assert parse_study(printed.out, "printed") == config
    assert ("bf16 is slower than fp32 on this processor" in printed.err) == is_printed
