"""oneDNN's layers are PyTorch's layers, but for rounding."""

import pytest
import torch
from torch import Tensor, nn

from study.adapters import onednn as linear
from study.adapters.onednn import multiply_with_onednn

ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
pytestmark = pytest.mark.skipif(not ONEDNN, reason="this PyTorch has no oneDNN")


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 12))


def _results(network: nn.Module, images: Tensor) -> list[Tensor]:
    logits = network(images)
    logits.square().sum().backward()
    return [logits.detach(), *(parameter.grad for parameter in network.parameters() if parameter.grad is not None)]


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_logits_and_gradients_are_the_same_but_for_rounding(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(linear, "LEAST_WEIGHTS", 0)
    plain, fast = _network(), _network()
    multiply_with_onednn(fast)
    images = torch.randn(batch, 20)
    expected, found = _results(plain, images), _results(fast, images)
    assert len(found) == 5
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_the_gradient_reaches_the_layers_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "LEAST_WEIGHTS", 0)
    plain, fast = _network(), _network()
    multiply_with_onednn(fast)
    images = [torch.ones(3, 20, requires_grad=True) for _ in range(2)]
    for network, x in zip((plain, fast), images, strict=True):
        network(x).sum().backward()
    assert images[0].grad is not None
    assert images[1].grad is not None
    torch.testing.assert_close(images[1].grad, images[0].grad)


def test_inference_logits_are_bit_identical(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gradients the logits equal those of the unchanged network, bit for bit."""
    monkeypatch.setattr(linear, "LEAST_WEIGHTS", 0)
    plain, fast = _network(), _network()
    multiply_with_onednn(fast)
    images = torch.randn(9, 20)
    with torch.inference_mode():
        assert torch.equal(plain(images), fast(images))


def test_small_layers_are_left_alone() -> None:
    network = nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 4000))
    before = network[0].forward
    multiply_with_onednn(network)
    assert network[0].forward == before
    assert network[1].forward.__func__ is linear._forward  # type: ignore[attr-defined]


def test_a_layer_without_bias_has_no_gradient_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "LEAST_WEIGHTS", 0)
    plain, fast = (nn.Sequential(nn.Linear(20, 12, bias=False)) for _ in range(2))
    fast.load_state_dict(plain.state_dict())
    multiply_with_onednn(fast)
    images = torch.randn(7, 20)
    for a, b in zip(_results(fast, images), _results(plain, images), strict=True):
        torch.testing.assert_close(a, b)
