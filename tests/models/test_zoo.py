"""Networks by name."""
# ruff: noqa: E501 (a message stands on the line of its cause)

import pytest
import torch

from models import notation, zoo
from models.notation import Conv, Linear, NotationError, Pool

_TAKD = {
    "takd-cnn2": "16|16|",
    "takd-cnn4": "16,16|32,32|",
    "takd-cnn6": "16,16|32,32|64,64|",
    "takd-cnn8": "16,16|32,32|64,64|128,128| 64",
    "takd-cnn10": "32,32|64,64|128,128|256,256,256,256| 128",
    "takd-cnn2-100": "32|32|",
    "takd-cnn4-100": "32,32|64,64|",
    "takd-cnn6-100": "32,32|64,64|128,128",
    "takd-cnn8-100": "32,32|64,64|128,128|256,256| 64",
    "takd-cnn10-100": "32,32|64,64|128,128|256,256,256,256| 512",
}


def _parameters(reference: str, classes: int) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in zoo.build(reference, (3, 32, 32), classes).parameters())


@pytest.mark.parametrize("name", zoo.names())
def test_every_network_gives_the_logits_it_was_published_for(name: str) -> None:
    network = zoo.get(name)
    assert network.name == name
    assert network.input_shape is not None
    assert network.classes in (10, 100)
    module = zoo.build(name, network.input_shape, network.classes).eval()
    with torch.no_grad():
        assert module(torch.zeros(2, *network.input_shape)).shape == (2, network.classes)


@pytest.mark.parametrize("name", ["nin", "takd-cnn4", "resnet8", "torchvision:shufflenet_v2_x0_5"])
def test_the_global_seed_decides_the_weights(name: str) -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return zoo.build(name, (3, 32, 32), 10).state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize(("name", "widths"), _TAKD.items())
def test_takd_networks_have_the_published_widths(name: str, widths: str) -> None:
    network = zoo.get(name)
    assert network.notation is not None
    *layers, last = notation.parse(network.notation)
    drawn = ""
    for layer in layers:
        match layer:
            case Conv(kernel=3, stride=1, padding=1, batch_norm=True):
                drawn += f",{layer.channels}"
            case Pool("max", 2, 2):
                drawn += "|"
            case Linear():
                drawn += f" {layer.features}"
            case _:
                pytest.fail(f"{layer} is no layer of a plain CNN")
    assert drawn.removeprefix(",").replace("|,", "|") == widths
    assert last == Linear(100 if name.endswith("-100") else 10)
    weight_layers = sum(isinstance(layer, Conv | Linear) for layer in layers)
    assert name.removesuffix("-100") in (f"takd-cnn{weight_layers}", f"takd-cnn{weight_layers - 1}")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *(("resnet8", 75_290), ("resnet14", 172_506), ("resnet20", 269_722), ("resnet26", 366_938)),
        *(("resnet32", 464_154), ("resnet44", 658_586), ("resnet56", 853_018), ("resnet110", 1_727_962)),
    ],
)  # fmt: skip
def test_resnets_have_the_parameters_of_option_a(name: str, parameters: int) -> None:
    assert _parameters(name, 10) == parameters
    assert _parameters(name, 100) == parameters + 90 * 65


@pytest.mark.parametrize(
    ("name", "millions"),
    [("resnet20", 0.27), ("resnet32", 0.46), ("resnet44", 0.66), ("resnet56", 0.85), ("resnet110", 1.7)],
)
def test_resnets_have_the_parameters_that_he_et_al_print(name: str, millions: float) -> None:
    digits = len(str(millions).partition(".")[2])
    assert round(_parameters(name, 10) / 1e6, digits) == millions


def test_shortcut_subsamples_and_pads_with_zeros() -> None:
    """A shortcut takes every second pixel and fills up with zeros."""
    block = zoo.build("resnet8", (3, 8, 8), 10).get_submodule("stage2.0").eval()
    features = torch.rand(2, 16, 8, 8)
    with torch.no_grad():
        for weight in block.parameters():
            weight.zero_()
        output = block(features)
    torch.testing.assert_close(output[:, :16], features[:, :, ::2, ::2])
    assert output.shape == (2, 32, 4, 4)
    assert not output[:, 16:].any()


def test_resnets_take_other_images_than_cifar() -> None:
    assert zoo.build("resnet8", (1, 9, 7), 3).eval()(torch.zeros(2, 1, 9, 7)).shape == (2, 3)


def test_a_line_is_a_reference_too() -> None:
    network = zoo.get("[C3(S1P1)@4-MP2(S2)]-FC7")
    assert network == zoo.Network("[C3(S1P1)@4-MP2(S2)]-FC7", "[C3(S1P1)@4-MP2(S2)]-FC7", None, 7)
    assert zoo.build("[C3(S1P1)@4-MP2(S2)]-FC7", (1, 8, 8), 7)(torch.zeros(2, 1, 8, 8)).shape == (2, 7)


@pytest.mark.parametrize("name", ["torchvision:resnet18", "torchvision:mobilenet_v3_small", "torchvision:vit_b_32"])
def test_torchvision_models_take_the_classes_they_are_given(name: str) -> None:
    assert zoo.get(name) == zoo.Network(name, None, (3, 224, 224), 1000)
    with torch.device("meta"):
        module = zoo.build(name, (3, 64, 64), 7)
    assert module.training
    assert module(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 7)


def test_googlenet_gives_plain_logits_while_training() -> None:
    with torch.device("meta"):
        module = zoo.build("torchvision:googlenet", (3, 64, 64), 7)
    assert module(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 7)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("lenet-cifar", "no network is called 'lenet-cifar'; did you mean 'lenet-cifar10'?"),
        ("ResNet20", "no network is called 'ResNet20'; did you mean 'resnet20'?"),
        ("AlexNet-cifar10", "no network is called 'AlexNet-cifar10'; did you mean 'alexnet-cifar10'?"),
        ("", "no network is called ''; expected a name of the zoo, a line of notation, or FILE.py:NAME"),
        ("?\n" * 99, "no network is called " + repr(("?\n" * 99)[:57] + "...") + "; expected a name of the zoo, a line of notation, or FILE.py:NAME"),
        ("torchvision:resnet19", "no network is called 'torchvision:resnet19'; did you mean 'torchvision:resnet18'?"),
        ("torchvision:maskrcnn_resnet50_fpn_v3_large_x", "no network is called 'torchvision:maskrcnn_resnet50_fpn_v3_large_x'; did you mean 'torchvision:mobilenet_v3_large'?"),
        ("FC10-FC", "character 8, in 'FC': expected a number of features from 1 to 100000, found the end of the line"),
    ],
)  # fmt: skip
def test_an_unknown_reference_is_named_with_its_nearest(reference: str, message: str) -> None:
    with pytest.raises(NotationError) as caught:
        zoo.get(reference)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("reference", "input_shape", "classes", "message"),
    [
        ("nin", (3, 32, 32), 100, "network 'nin' gives 10 classes, expected 100; use a network whose last layer has as many"),
        ("FC7", (4,), 10, "network 'FC7' gives 7 classes, expected 10; use a network whose last layer has as many"),
        ("nin", (3, 28, 28), 10, "character 148, in 'AP8(S1)': gives no output for 10x7x7: the kernel is larger than its input"),
        ("resnet8", (3, 32, 32), 0, "0 classes; expected 1 to 100000"),
        ("torchvision:resnet18", (1, 28, 28), 10, "network 'torchvision:resnet18' takes images of 3 channels, not 1"),
        ("resnet8", (64,), 10, "network 'resnet8' takes (channels, height, width), not (64,)"),
        ("resnet8", (3, 0, 8), 10, "an input of shape (3, 0, 8); expected (channels, height, width) or (features,), each from 1 to 100000"),
    ],
)  # fmt: skip
def test_a_network_that_does_not_fit_the_data_is_refused(
    reference: str, input_shape: tuple[int, ...], classes: int, message: str
) -> None:
    with pytest.raises(NotationError) as caught:
        zoo.build(reference, input_shape, classes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("reference", "input_shape", "reason"),
    [
        ("torchvision:alexnet", (3, 32, 32), "Output size is too small"),
        ("torchvision:vit_b_32", (3, 33, 33), "Input shape indivisible by patch size"),
    ],
)
def test_torchvision_input_error_is_one_line(reference: str, input_shape: tuple[int, ...], reason: str) -> None:
    """What torchvision says of an image it cannot take is passed on in one line."""
    with pytest.raises(NotationError, match=reason) as caught, torch.device("meta"):
        zoo.build(reference, input_shape, 10)
    shape = "x".join(map(str, input_shape))
    assert str(caught.value).startswith(f"network '{reference}' does not take images of {shape}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "shape", "fewest"),
    [
        ("FC8-FC10", (1, 8, 8), 1),
        ("[C3(S1P1)@4B-MP2(S2)]-FC10", (1, 8, 8), 1),
        ("C8(S1P0)@4B-FC10", (1, 8, 8), 2),
        ("C8(S1P0)@4-FC10", (1, 8, 8), 1),
        ("[C3(S1P1)@4B-MP8(S8)]-C1(S1P0)@10B", (1, 8, 8), 2),
        ("resnet8", (1, 8, 8), 1),
        ("resnet8", (1, 4, 4), 2),
        ("torchvision:mobilenet_v3_small", (3, 32, 32), 2),
        ("torchvision:mobilenet_v3_small", (3, 224, 224), 1),
    ],
)
def test_the_smallest_batch_is_the_smallest_that_pytorch_trains(
    reference: str, shape: tuple[int, ...], fewest: int
) -> None:
    assert zoo.smallest_batch(reference, shape, 10) == fewest
    network = zoo.build(reference, shape, 10).train()
    network(torch.zeros(fewest, *shape))
    if fewest == 2:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            network(torch.zeros(1, *shape))


def test_the_smallest_batch_is_asked_without_a_draw() -> None:
    before = torch.random.get_rng_state()
    zoo.smallest_batch("resnet8", (1, 8, 8), 10)
    assert torch.equal(torch.random.get_rng_state(), before)
