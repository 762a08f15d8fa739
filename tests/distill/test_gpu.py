"""Training on a GPU, without one: every tensor is a fake that knows its device and has no content.

A fake raises on operands of two devices, and on everything that asks for its content, which is where a processor would
wait for a GPU. What fakes cannot do has a stand-in: moving a module, backward, and the generator of a GPU.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.small_training import small_data, trainer_of, trial
from torch import Tensor, nn
from torch._subclasses import FakeTensor, FakeTensorMode

from study.config import TrialConfig
from study.distill.captured import StepTables
from study.distill.epoch import EpochSteps
from study.distill.side_by_side import run_epochs
from study.distill.teachers import logits_of
from study.distill.trainer import DistillationTrainer, TrainingData
from study.records import EpochRecord

ROOT = Path(__file__).parents[2]
GPU = torch.device("cuda", 0)
NETWORK = "C3(S1P1)@4B-MP2(S2)-FC8-D0.5-FC3"
NOISE: dict[str, Any] = {"sigma": {"uniform": [0.1, 1]}, "alpha": 0.5}

TRIALS = {
    "logit_regression": trial(epochs=1, network=NETWORK),
    "noisy_teacher": trial("noisy_teacher", epochs=1, network=NETWORK, **NOISE),
    "frozen noise": trial("noisy_teacher", epochs=1, network=NETWORK, noise="frozen", **NOISE),
    "noisy_student": trial("noisy_student", epochs=1, network=NETWORK, **NOISE),
    "soft_targets": trial("soft_targets", epochs=1, network=NETWORK, **NOISE),
    "labels": trial("labels", epochs=1, network=NETWORK),
    "bf16": trial("noisy_teacher", epochs=1, network=NETWORK, precision="bf16", **NOISE),
    "sgd": trial("noisy_teacher", epochs=1, network=NETWORK, optimizer="sgd", momentum=0.9, **NOISE),
}


def _updated(parameters: list[Tensor], *_: Any, lr: Tensor, **__: Any) -> None:
    assert {lr.device} == {parameter.device for parameter in parameters}


@pytest.fixture(autouse=True)
def optimizer_steps() -> Iterator[None]:
    """PyTorch has no fake kernel of its fused optimizers with a learning rate on the GPU."""
    with torch.library._scoped_library("aten", "IMPL") as library:
        for name in ("_fused_adam_.tensor_lr", "_fused_sgd_.tensor_lr"):
            library.impl(name, _updated, "Meta")
        yield


class Waits:
    """How often a processor waited for the GPU at the places where it may."""

    def __init__(self) -> None:
        self.numbers: list[str] = []


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waits]:
    """A GPU of fakes; two conversions of a number are answered and counted, everything else that waits raises."""
    found = Waits()

    def converted(kind: type, tensor: Tensor) -> Any:
        found.numbers.append(kind.__name__)
        return kind(1)

    def moved(self: nn.Module, function: Any, recurse: bool = True) -> nn.Module:
        for part in self.modules():
            for name, parameter in part._parameters.items():
                if parameter is not None:
                    part._parameters[name] = nn.Parameter(function(parameter.detach()))
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    part._buffers[name] = function(buffer)
        return self

    monkeypatch.setattr(nn.Module, "_apply", moved)
    monkeypatch.setattr(FakeTensor, "__float__", lambda tensor: converted(float, tensor), raising=False)
    monkeypatch.setattr(FakeTensor, "__int__", lambda tensor: converted(int, tensor), raising=False)
    state = torch.zeros(16, dtype=torch.uint8)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # no queues and no graphs, also where a GPU is
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    with FakeTensorMode():
        yield found


def _trainer(config: TrialConfig, monkeypatch: pytest.MonkeyPatch) -> DistillationTrainer:
    data = small_data(45, mirror=True)
    target = None if config.method == "labels" else torch.zeros(90, data.classes)
    there = TrainingData(data.train.to(GPU), data.validation.to(GPU), data.input_shape, data.classes)
    trainer = DistillationTrainer(config, there, target, GPU)

    def backward(loss: Tensor) -> None:
        assert loss.device == GPU
        assert loss.dtype == torch.float32
        for parameter in trainer.network.parameters():
            parameter.grad = torch.zeros_like(parameter)

    monkeypatch.setattr(Tensor, "backward", backward)
    return trainer


def _tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from _tensors(value)


@pytest.mark.parametrize("config", TRIALS.values(), ids=TRIALS)
def test_an_epoch_stays_on_its_gpu_and_waits_for_it_twice(
    config: TrialConfig, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = _trainer(config, monkeypatch)
    trainer.run_epoch()
    assert waits.numbers == ["float", "int"]  # the training loss and the validation error, at the end
    state = trainer.state_dict()
    for part in ("network", "optimizer", "best_weights"):
        devices = {tensor.device for tensor in _tensors(state[part])}
        assert devices == {GPU}, part


def test_side_by_side_they_wait_for_their_gpu_at_the_end(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    trainers = [_trainer(config, monkeypatch) for config in TRIALS.values()]

    def backward(loss: Tensor) -> None:
        assert (loss.device, loss.dtype) == (GPU, torch.float32)
        for trainer in trainers:
            for parameter in trainer.network.parameters():
                parameter.grad = torch.zeros_like(parameter)

    monkeypatch.setattr(Tensor, "backward", backward)
    ends = run_epochs(trainers)
    assert [type(end) for end in ends] == [EpochRecord] * len(trainers)
    assert waits.numbers == ["float", "int"] * len(trainers)


def test_a_captured_step_reads_its_inputs_from_its_gpu(waits: Waits) -> None:
    """The host never learns which step it is."""
    epoch = EpochSteps.on(GPU, (16, 16, 13), torch.arange(45), torch.zeros(45, 3), (0.3, 0.2, 0.1))
    tables = StepTables(epoch)
    for _ in range(2):
        indices, noise, rate = tables.read()
        assert noise is not None
        assert (indices.shape, noise.shape, rate.shape) == ((16,), (16, 3), ())
        assert {indices.device, noise.device, rate.device} == {GPU}
        tables.load(epoch)
    assert waits.numbers == []


def test_a_resumed_training_has_its_best_weights_on_its_gpu(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    config = trial(epochs=2, network=NETWORK)
    first = _trainer(config, monkeypatch)
    first.run_epoch()
    state = first.state_dict()
    for part in ("network", "optimizer", "best_weights"):  # as a checkpoint is read
        state[part] = _on_the_cpu(state[part])
    second = _trainer(config, monkeypatch)
    second.load_state_dict(state)
    for part in ("network", "optimizer", "best_weights"):
        assert {tensor.device for tensor in _tensors(second.state_dict()[part])} == {GPU}, part


def _on_the_cpu(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.cpu()
    return {name: _on_the_cpu(value) for name, value in state.items()} if isinstance(state, dict) else state


def _fp32_products() -> list[str]:
    cudnn: Any = torch.backends.cudnn
    return [torch.backends.cuda.matmul.fp32_precision, cudnn.conv.fp32_precision]


@pytest.mark.parametrize(("precision", "used"), [("fp32", "ieee"), ("bf16", "ieee"), ("tf32", "tf32")])
def test_fp32_is_fp32_and_tf32_a_setting_of_its_own(precision: str, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[str]] = {}

    class Looks(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            seen["training" if self.training else "evaluation"] = _fp32_products()
            return super().forward(images.flatten(1))

    monkeypatch.setattr("models.zoo.build", lambda *_: Looks(16, 3))
    trainer = trainer_of(trial(precision=precision))
    before = _fp32_products()
    trainer.run_epoch()
    assert seen == {"training": [used] * 2, "evaluation": ["ieee"] * 2}
    assert _fp32_products() == before


def test_the_older_interface_to_tf32_is_used_nowhere() -> None:
    for file in (ROOT / "study").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        called = {ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute | ast.Name)}
        assert not [name for name in called if name.endswith(("allow_tf32", "set_float32_matmul_precision"))], file


def test_teachers_answer_in_fp32() -> None:
    seen: list[list[str]] = []

    class Looks(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(_fp32_products())
            return super().forward(images.flatten(1))

    logits_of(Looks(16, 3), small_data().train)
    assert seen == [["ieee"] * 2]
