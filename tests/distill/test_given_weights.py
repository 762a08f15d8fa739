"""Weights of somebody else: PyTorch files, names that do not fit, `strict`, torchvision's cache."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models import notation, zoo
from models.notation import NotationError
from study.config import teacher_trial
from study.config.teachers import TeacherConfig
from study.data.dataset import DatasetFacts
from study.distill.teachers import check_given_files, load_weights
from study.distill.tensor_files import read_tensors, write_tensors
from study.errors import UserError

LINE = "C3(S1P1)@4B-FC3"


def _network() -> nn.Module:
    return notation.build(LINE, (1, 4, 4))


def _weights() -> dict[str, Tensor]:
    return {name: torch.full_like(tensor, 2) for name, tensor in _network().state_dict().items()}


def _refusal(file: Path, strict: bool = True) -> str:
    with pytest.raises(UserError) as refused:
        load_weights(_network(), file, strict)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        lambda weights: weights,
        lambda weights: {"epoch": 3, "state_dict": weights},
        lambda weights: {"model_state_dict": weights, "optimizer": {"lr": 0.1}},
        lambda weights: {"model": weights},
        lambda weights: {f"module.{name}": tensor for name, tensor in weights.items()},
        lambda weights: {"state_dict": {f"_orig_mod.{name}": tensor for name, tensor in weights.items()}},
        lambda weights: {name: nn.Parameter(tensor, requires_grad=False) for name, tensor in weights.items()},
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_a_pytorch_file_is_read(tmp_path: Path, content: Any, suffix: str) -> None:
    torch.save(content(_weights()), tmp_path / f"big{suffix}")
    network = _network()
    load_weights(network, tmp_path / f"big{suffix}")
    assert all((tensor == 2).all() for tensor in network.state_dict().values())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1, 2], "has a list, not tensors by name; save network.state_dict()"),
        ({"epoch": 3, "loss": 0.1}, "epoch is a int, not a tensor; save network.state_dict()"),
        (nn.Linear(2, 2), "not a file of tensors that PyTorch reads without running code"),
        ({"conv1.weight": torch.tensor([float("nan")])}, "conv1.weight has numbers that are NaN or infinite"),
    ],
)
def test_a_pytorch_file_of_something_else(tmp_path: Path, content: object, says: str) -> None:
    torch.save(content, tmp_path / "big.pt")
    assert says in _refusal(tmp_path / "big.pt")


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    weights = _weights()
    weights["head.weight"] = weights.pop("fc1.weight")
    weights["conv1.bias"] = torch.zeros(5)
    save_file(weights, tmp_path / "big.safetensors")
    refusal = _refusal(tmp_path / "big.safetensors")
    assert "missing: fc1.weight; not in the network: head.weight" in refusal
    assert "conv1.bias is float (5,), expected float (4,)" in refusal
    assert "strict" not in refusal


def test_strict_false_ignores_what_the_network_lacks(tmp_path: Path) -> None:
    weights = {**_weights(), "aux.weight": torch.zeros(3)}
    del weights["conv1_norm.num_batches_tracked"]
    file = tmp_path / "big.safetensors"
    save_file(weights, file)
    assert "not in the network: aux.weight" in _refusal(file)
    network = _network()
    load_weights(network, file, strict=False)
    assert (network.state_dict()["fc1.weight"] == 2).all()


def test_a_weight_is_never_missing(tmp_path: Path) -> None:
    """Else the teacher would keep random weights."""
    weights = _weights()
    del weights["fc1.weight"]
    save_file(weights, tmp_path / "big.safetensors")
    assert "missing: fc1.weight" in _refusal(tmp_path / "big.safetensors", strict=False)


def test_the_message_says_when_strict_false_would_do(tmp_path: Path) -> None:
    save_file({**_weights(), "aux.weight": torch.zeros(3)}, tmp_path / "big.safetensors")
    assert _refusal(tmp_path / "big.safetensors").endswith("; `strict: false` ignores these tensors")


@pytest.mark.parametrize("kind", [torch.int8, torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("strict", [True, False])
def test_numbers_of_another_kind_are_refused(tmp_path: Path, kind: torch.dtype, strict: bool) -> None:
    """PyTorch would convert them without a word: a complex weight to its real part, a boolean to 0 or 1."""
    weights = {**_weights(), "fc1.weight": torch.ones(3, 64).to(kind)}
    save_file(weights, tmp_path / "big.safetensors")
    assert "fc1.weight is " in _refusal(tmp_path / "big.safetensors", strict)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_another_size_are_read(tmp_path: Path, kind: torch.dtype) -> None:
    save_file({**_weights(), "fc1.weight": torch.full((3, 64), 2.0, dtype=kind)}, tmp_path / "big.safetensors")
    load_weights(_network(), tmp_path / "big.safetensors")


def test_the_files_of_all_teachers_are_checked(tmp_path: Path) -> None:
    torch.save(_weights(), tmp_path / "big.pt")
    facts = DatasetFacts((1, 4, 4), 3)
    good = teacher_trial(TeacherConfig(network=LINE, weights=str(tmp_path / "big.pt")))
    check_given_files([good], facts)
    other = teacher_trial(TeacherConfig(network="FC3", weights=str(tmp_path / "big.pt")))
    with pytest.raises(UserError, match=r"big\.pt: they do not fit the network"):
        check_given_files([good, other], facts)


def test_a_weight_with_two_names_is_stored(tmp_path: Path) -> None:
    """A network of the user may use one weight twice, which safetensors refuses to store."""
    weight = torch.ones(2, 2)
    write_tensors(tmp_path / "w.safetensors", {"a": weight, "b": weight, "c": weight[0]})
    assert {name: tuple(tensor.shape) for name, tensor in read_tensors(tmp_path / "w.safetensors").items()} == {
        "a": (2, 2),
        "b": (2, 2),
        "c": (2,),
    }


def test_torchvisions_weights_are_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = zoo.weights_file("torchvision:ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1")
    assert file.parent == tmp_path / "hub" / "checkpoints"
    file.parent.mkdir(parents=True)
    torch.save(zoo.build("torchvision:shufflenet_v2_x0_5", (3, 64, 64), 1000).state_dict(), file)
    network = zoo.build("torchvision:shufflenet_v2_x0_5", (3, 64, 64), 1000)
    load_weights(network, file)
    with pytest.raises(NotationError, match=r"torchvision has no weights 'ShuffleNet_V2_X0_5_Weights\.V9'"):
        zoo.weights_file("torchvision:ShuffleNet_V2_X0_5_Weights.V9")
