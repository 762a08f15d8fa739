"""What networks cost, against the published counts."""

import pytest
import torch
from torch import nn

from models import notation, zoo
from models.cost import LayerCost, compression_ratio, module_cost, network_cost
from models.notation import NotationError

_PUBLISHED = {
    "lenet-mnist": 2_293_000,
    "fc800": 1_275_200,
    "nin": 222_486_528,
    "nin-as-printed": 224_845_824,
    "alexnet-cifar10": 375_443_456,
    "lenet-svhn": 19_769_344,
    "lenet-cifar10": 65_742_848,
    "student1": 61_155_328,
    "student2": 11_249_664,
    "student3": 6_744_064,
}


@pytest.mark.parametrize(("name", "multiplications"), _PUBLISHED.items())
def test_multiplications_are_the_published_ones(name: str, multiplications: int) -> None:
    assert network_cost(name).multiplications == multiplications


@pytest.mark.parametrize(
    ("name", "exact", "printed"),
    [
        ("student1", [4_915_200, 45_875_200, 8_257_536, 2_107_392], [5, 46, 8, 2]),
        ("student2", [2_457_600, 6_553_600, 1_179_648, 1_058_816], [2.5, 6.5, 1.2, 1]),
        ("student3", [1_228_800, 3_276_800, 1_179_648, 1_058_816], [1.25, 3.25, 1.2, 1]),
    ],
)
def test_multiplications_match_the_paper(name: str, exact: list[int], printed: list[float]) -> None:
    """The multiplications of each stage are those that the paper prints in millions."""
    layers = notation.parse(zoo.get(name).notation or "")
    stages: dict[int | None, int] = {}
    for layer, cost in zip(layers, network_cost(name).layers, strict=True):
        stages[layer.stage] = stages.get(layer.stage, 0) + cost.multiplications
    assert list(stages.values()) == exact
    assert [count / 1e6 for count in exact] == pytest.approx(printed, rel=0.06)


@pytest.mark.parametrize(
    ("student", "exact", "printed"), [("student1", 3.64, 3.66), ("student2", 19.78, 19.91), ("student3", 32.99, 33.28)]
)
def test_compression_ratios_match_the_paper(student: str, exact: float, printed: float) -> None:
    """The compression ratios are the published ones but for their rounding."""
    ratio = compression_ratio(network_cost("nin"), network_cost(student))
    assert round(ratio, 2) == exact
    assert ratio == pytest.approx(printed, rel=0.01)


def test_every_layer_is_counted_on_its_own() -> None:
    cost = network_cost("[C3(S2P1)@4B-MP2(S2)]-D0.5-FC5", input_shape=(2, 8, 8))
    assert cost.layers == (
        LayerCost("conv1", "C3(S2P1)@4B", (4, 4, 4), parameters=9 * 2 * 4 + 3 * 4, multiplications=9 * 2 * 4 * 16),
        LayerCost("pool1", "MP2(S2)", (4, 2, 2), parameters=0, multiplications=0),
        LayerCost("dropout1", "D0.5", (4, 2, 2), parameters=0, multiplications=0),
        LayerCost("fc1", "FC5", (5,), parameters=16 * 5 + 5, multiplications=16 * 5),
    )
    assert cost.parameters == 84 + 85
    assert cost.multiplications == 1152 + 80
    assert cost.bytes == 4 * (84 + 85)


@pytest.mark.parametrize("name", zoo.names())
def test_a_line_costs_what_running_its_module_costs(name: str) -> None:
    network = zoo.get(name)
    assert network.input_shape is not None
    assert network.classes is not None
    module = zoo.build(name, network.input_shape, network.classes)
    measured, foreseen = module_cost(module, network.input_shape), network_cost(name)
    assert (measured.multiplications, measured.parameters) == (foreseen.multiplications, foreseen.parameters)
    assert sum(layer.multiplications for layer in foreseen.layers) == foreseen.multiplications
    assert sum(layer.parameters for layer in foreseen.layers) == foreseen.parameters


def test_resnet20_multiplies_41_million_times() -> None:
    convolutions = 9 * 32 * 32 * 3 * 16
    convolutions += 6 * 9 * 32 * 32 * 16 * 16
    convolutions += 9 * 16 * 16 * (16 * 32 + 5 * 32 * 32)
    convolutions += 9 * 8 * 8 * (32 * 64 + 5 * 64 * 64)
    assert network_cost("resnet20").multiplications == convolutions + 64 * 10


def test_rows_are_in_execution_order() -> None:
    """The rows of a module stand in the order in which its parts run."""
    rows = network_cost("resnet8", (1, 8, 8), 3).layers
    assert rows[0] == LayerCost("conv", "C3(S1P1)@16", (16, 8, 8), parameters=144, multiplications=144 * 64)
    assert rows[1] == LayerCost("norm", "BatchNorm2d", (16, 8, 8), parameters=32, multiplications=0)
    assert rows[-1] == LayerCost("fc", "FC3", (3,), parameters=195, multiplications=192)


@pytest.mark.parametrize(
    ("name", "multiplications", "parameters"),
    # What torchvision prints for its weights, in thousand million and exactly; grouped convolutions in the second.
    [
        ("torchvision:resnet18", 1.814, 11_689_512),
        ("torchvision:mobilenet_v3_small", 0.057, 2_542_856),
        ("torchvision:regnet_x_400mf", 0.414, 5_495_976),
    ],
)
def test_torchvision_models_cost_what_torchvision_says(name: str, multiplications: float, parameters: int) -> None:
    cost = network_cost(name)
    assert round(cost.multiplications / 1e9, 3) == multiplications
    assert cost.parameters == parameters


def test_a_grouped_convolution_multiplies_within_its_groups() -> None:
    cost = module_cost(nn.Conv2d(4, 8, 3, groups=2, bias=False), (4, 5, 5))
    assert cost.layers == (LayerCost("", "Conv2d", (8, 3, 3), 9 * 2 * 8, 9 * 2 * 8 * 9),)


def test_attention_counts_its_projections_only() -> None:
    """Attention counts its projections and not its own products."""

    class Attend(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.attention(tokens, tokens, tokens, need_weights=False)[0]  # type: ignore[no-any-return]

    for training in (True, False):
        cost = module_cost(Attend().train(training), (5, 6))
        assert cost.multiplications == 5 * 6 * (3 * 6) + 5 * 6 * 6
        assert cost.parameters == 6 * 18 + 18 + 6 * 6 + 6


def test_shared_weight_counts_once_as_a_parameter() -> None:
    """A shared weight is one parameter and multiplies each time it is used."""
    shared = nn.Linear(4, 4)
    cost = module_cost(nn.Sequential(shared, nn.ReLU(), shared), (4,))
    assert (cost.parameters, cost.multiplications) == (20, 32)


def test_measuring_has_no_side_effects() -> None:
    """Measuring leaves the module and the random numbers as they are."""
    module = zoo.build("takd-cnn2", (3, 32, 32), 10)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    random_state = torch.random.get_rng_state()
    module_cost(module, (3, 32, 32))
    network_cost("resnet8")
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert module.training
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in module.modules())


def test_a_line_alone_has_no_cost_without_an_image() -> None:
    with pytest.raises(NotationError, match=r"the cost of 'FC10' depends on its input; give the shape of an image"):
        network_cost("FC10")


def test_cost_for_other_classes_is_refused() -> None:
    """The cost for another number of classes is refused where the network's line fixes that number."""
    with pytest.raises(NotationError, match=r"'nin' gives 10 classes, expected 100"):
        network_cost("nin", classes=100)
