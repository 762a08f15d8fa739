"""What a processor is fast at is measured, and a study sticks to what it measured first."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from support.small_training import small_data, trainer_of, trial

from study.adapters import onednn as linear
from study.distill import processor
from study.distill.processor import MeasuredProcessor, measured_processor, recorded_processor
from study.distill.trainer import DistillationTrainer
from study.errors import UserError


def _found(onednn: float = 1.0, bf16: float = 2.0) -> MeasuredProcessor:
    return MeasuredProcessor(name="a processor", onednn_speed=onednn, bf16_speed=bf16)


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Speeds of oneDNN that are measured one after another."""
    speeds = [2.0, 0.5, 3.0]
    monkeypatch.setattr(processor, "measured_processor", lambda: _found(speeds.pop(0)))
    return speeds


def test_a_measurement_is_of_this_machine() -> None:
    threads = torch.get_num_threads()
    found = measured_processor()
    assert found.name
    assert found.onednn_speed >= 0
    assert found.bf16_speed > 0
    assert torch.get_num_threads() == threads
    assert measured_processor() is found


def test_a_study_measures_once_and_remembers(tmp_path: Path, measurements: list[float]) -> None:
    first = recorded_processor(tmp_path / "processors")
    second = recorded_processor(tmp_path / "processors")
    assert first == (_found(2.0), True)
    assert second == (_found(2.0), False)
    assert measurements == [0.5, 3.0]
    assert len(list((tmp_path / "processors").iterdir())) == 1


def test_another_kind_of_processor_is_measured(
    tmp_path: Path, measurements: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recorded_processor(tmp_path) == (_found(2.0), True)
    monkeypatch.setattr(processor, "_processor", lambda: ("another", "another-kind"))
    assert recorded_processor(tmp_path) == (_found(0.5), True)
    assert recorded_processor(tmp_path) == (_found(0.5), False)


def test_workers_that_measure_at_once_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together, numbers = threading.Barrier(8, timeout=20), iter(range(8))

    def measured() -> MeasuredProcessor:
        number = next(numbers)
        together.wait()  # all of them have seen that there is nothing yet
        return _found(1 + number)

    monkeypatch.setattr(processor, "measured_processor", measured)
    found: list[tuple[MeasuredProcessor, bool]] = []
    workers = [threading.Thread(target=lambda: found.append(recorded_processor(tmp_path))) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 8
    assert len({measurement for measurement, _ in found}) == 1
    assert sum(is_new for _, is_new in found) == 1
    assert len(list(tmp_path.iterdir())) == 1  # and no temporary files


def test_a_damaged_record_is_made_again(tmp_path: Path, measurements: list[float]) -> None:
    recorded_processor(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text("{", encoding="utf-8")
    assert recorded_processor(tmp_path)[1]
    assert not recorded_processor(tmp_path)[1]


def test_unwritable_record_is_a_user_error(tmp_path: Path) -> None:
    """A record that cannot be written is reported as a mistake of the user's."""
    (tmp_path / "processors").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match="cannot write"):
        recorded_processor(tmp_path / "processors")


@pytest.mark.parametrize(("speed", "words"), [(2.0, None), (1.0, None), (0.5, "a product takes 2.0 times as long")])
def test_a_slower_bf16_is_one_line(speed: float, words: str | None) -> None:
    said = _found(bf16=speed).slow_bf16
    assert (said is None) == (words is None)
    if said is not None and words is not None:
        assert words in said
        assert "\n" not in said


@pytest.mark.parametrize(
    ("precision", "onednn", "measured", "used"),
    [
        ("fp32", True, 0.5, True),
        ("fp32", False, 2.0, False),
        ("fp32", None, 2.0, True),
        ("fp32", None, 1.1, False),
        ("tf32", True, 0.5, True),
        ("bf16", True, 2.0, False),
    ],
)
def test_a_trainer_uses_the_given_library(
    monkeypatch: pytest.MonkeyPatch, precision: str, onednn: bool | None, measured: float, used: bool
) -> None:
    monkeypatch.setattr(linear, "LEAST_WEIGHTS", 0)
    monkeypatch.setattr("study.distill.trainer.measured_processor", lambda: _found(measured))
    config = trial("labels", precision=precision)
    trainer = DistillationTrainer(config, small_data(), None, onednn=onednn)
    layer: Any = trainer.network[1]  # type: ignore[index]
    assert (getattr(layer.forward, "__func__", None) is linear._forward) == used


def test_without_onednn_everything_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    found = processor._measure()
    assert not found.onednn_is_faster
    assert found.slow_bf16 is None
    trainer_of(trial()).run_epoch()
