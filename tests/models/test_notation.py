"""What a line of notation means, and what is said of a line that means nothing."""
# ruff: noqa: E501 (a message stands on the line of its cause)

import itertools
import pickle

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models import notation, zoo
from models.notation import Conv, Dropout, Layer, Linear, NotationError, Pool, Shape

_LINES = [network.notation for name in zoo.names() if (network := zoo.get(name)).notation is not None]

_size = st.integers(1, 6)
_conv = st.builds(Conv, _size, _size, st.integers(0, 3), _size, st.booleans())
_pool = st.builds(Pool, st.sampled_from(["max", "average"]), _size, _size)
_dropout = st.builds(Dropout, st.floats(0, 1, exclude_max=True, allow_subnormal=False))
_any_layer: st.SearchStrategy[Layer] = st.one_of(_conv, _pool, _dropout, st.builds(Linear, _size))
_fragment = st.sampled_from(
    [*"[]-CFDMPABS()@.0123456789 \n²", "C3(S1P1)@8", "MP2(S2)", "AP8(S1)", "FC10", "D0.5", "-FC99999", "C99999"]
)
_almost_a_line = st.lists(_fragment, max_size=12).map("".join)


def test_every_mark_of_the_notation_is_read() -> None:
    assert notation.parse("[C5(S1P2)@64-MP3(S2)]-[C3(S2P0)@8B-AP8(S1)]-D0.5-FC1024-FC10") == (
        Conv(kernel=5, stride=1, padding=2, channels=64),
        Pool("max", kernel=3, stride=2),
        Conv(kernel=3, stride=2, padding=0, channels=8, batch_norm=True),
        Pool("average", kernel=8, stride=1),
        Dropout(0.5),
        Linear(1024),
        Linear(10),
    )


def test_a_layer_knows_its_text_its_position_and_its_stage() -> None:
    layers = notation.parse("[C5(S1P2)@64-MP3(S2)]-[C3(S1P1)@8]-FC010")
    assert [layer.text for layer in layers] == ["C5(S1P2)@64", "MP3(S2)", "C3(S1P1)@8", "FC010"]
    assert [layer.position for layer in layers] == [2, 14, 24, 36]
    assert [layer.stage for layer in layers] == [1, 1, 2, None]


def test_brackets_have_no_effect() -> None:
    grouped, plain = "[C3(S1P1)@4-MP2(S2)]-[FC5-D0.5]-FC3", "C3(S1P1)@4-MP2(S2)-FC5-D0.5-FC3"
    assert notation.parse(grouped) == notation.parse(plain)
    assert list(notation.build(grouped, (1, 4, 4)).state_dict()) == list(notation.build(plain, (1, 4, 4)).state_dict())


@pytest.mark.parametrize("line", _LINES)
def test_a_line_written_out_again_is_the_same_line(line: str) -> None:
    assert notation.format_network(notation.parse(line)) == line


@given(st.lists(_any_layer, min_size=1, max_size=6), _size)
def test_layers_written_out_are_read_back_as_the_same_layers(layers: list[Layer], classes: int) -> None:
    layers = [*layers, Linear(classes)]
    assert list(notation.parse(notation.format_network(layers))) == layers


@settings(max_examples=300, deadline=10_000)
@given(st.one_of(_almost_a_line, st.text()), st.sampled_from([(3, 32, 32), (1, 1, 1), (2, 7, 5), (64,)]))
@example("9" * 10_000, (3, 32, 32))
@example("FC" + "9" * 10_000, (3, 32, 32))
@example("D0." + "9" * 10_000 + "-FC10", (3, 32, 32))
@example("D0." + "0" * 10_000 + "1-FC10", (3, 32, 32))
@example("[" * 15_000, (3, 32, 32))
@example("FC1-" * 4_000 + "FC1", (3, 32, 32))
@example("C1(S1P0)@1-" * 900 + "FC1", (3, 32, 32))
@example("C1(S1P100000)@1", (3, 32, 32))
@example("FC10\u2028", (3, 32, 32))
def test_any_text_is_a_network_or_an_error_of_one_short_line(text: str, input_shape: Shape) -> None:
    try:
        with torch.device("meta"):
            module = notation.build(text, input_shape)
    except NotationError as error:
        message = str(error)
        assert message.isprintable()
        assert len(message) < 400
        return
    classes = notation.number_of_classes(notation.parse(text))
    assert module.eval()(torch.empty(2, *input_shape, device="meta")).shape == (2, classes)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(_conv, _pool), min_size=1, max_size=3), st.integers(1, 12), st.integers(1, 12))
def test_shapes_are_those_of_pytorch(layers: list[Layer], height: int, width: int) -> None:
    expected = _shapes_by_running(layers, (2, height, width))
    try:
        inferred = notation.shapes([*layers, Linear(3)], (2, height, width))
    except NotationError:
        assert expected is None
    else:
        assert list(inferred[:-1]) == expected


def _shapes_by_running(layers: list[Layer], input_shape: Shape) -> list[Shape] | None:
    values: Tensor = torch.zeros(1, *input_shape)
    found: list[Shape] = []
    for layer in layers:
        module: nn.Module
        match layer:
            case Conv():
                module = nn.Conv2d(values.shape[1], layer.channels, layer.kernel, layer.stride, layer.padding)
            case Pool("max"):
                module = nn.MaxPool2d(layer.kernel, layer.stride, ceil_mode=True)
            case Pool():
                module = nn.AvgPool2d(layer.kernel, layer.stride, ceil_mode=True)
        try:
            values = module(values)
        except RuntimeError:
            return None
        found.append(tuple(values.shape[1:]))
    return found


def test_a_pool_of_three_and_stride_two_rounds_up() -> None:
    assert notation.shapes(notation.parse("MP3(S2)-MP3(S2)-FC10"), (3, 32, 32)) == (
        (3, 16, 16),
        (3, 8, 8),
        (10,),
    )


def test_a_relu_follows_every_weight_layer_but_the_last() -> None:
    module = notation.build("[C3(S1P1)@4-AP2(S2)]-D0.5-FC6-FC3", (1, 4, 4))
    assert [name for name, _ in module.named_children()] == [
        *("conv1", "conv1_relu", "pool1", "dropout1", "flatten", "fc1", "fc1_relu", "fc2")
    ]


@pytest.mark.parametrize(
    "line", ["C3(S1P1)@4-MP2(S2)-FC3", "C3(S1P1)@4B-MP3(S2)-FC3", "C3(S1P1)@4-MP2(S2)-MP2(S1)-FC3"]
)
def test_max_pooling_and_relu_commute_exactly(line: str) -> None:
    """Max pooling before the ReLU gives the same bits as max pooling after it."""
    module = notation.build(line, (2, 9, 9))
    names = [name for name, _ in module.named_children()]
    assert names.index("conv1_relu") == names.index("fc1") - 2  # the last but the flattening
    parts = dict(module.named_children())
    order = sorted(names, key=lambda name: (name.startswith(("pool", "flatten", "fc")), name.startswith("fc")))
    as_written = nn.Sequential(*(parts[name] for name in order))
    images = torch.randn(6, 2, 9, 9)
    results = []
    for each in (module, as_written):
        module.zero_grad()
        each(images).square().sum().backward()
        results.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
    assert len(results[0]) == len(list(module.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_batch_normalisation_comes_before_the_relu() -> None:
    module = notation.build("C3(S1P1)@4B-FC3", (1, 4, 4))
    assert [type(part) for part in module] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Flatten, nn.Linear]


def test_network_may_end_in_a_pool() -> None:
    """The logits of a network that ends in a pool can be negative."""
    torch.manual_seed(0)
    module = notation.build("[C3(S1P1)@4-C1(S1P0)@10]-AP8(S1)", (3, 8, 8))
    assert [name for name, _ in module.named_children()] == ["conv1", "conv1_relu", "conv2", "pool1", "flatten"]
    logits = module(torch.randn(16, 3, 8, 8))
    assert logits.shape == (16, 10)
    assert (logits < 0).any()


def test_flat_input_is_taken_as_it_is() -> None:
    module = notation.build("FC5-FC3", (7,))
    assert [type(part) for part in module] == [nn.Linear, nn.ReLU, nn.Linear]
    assert module(torch.zeros(2, 7)).shape == (2, 3)


def test_logits_match_a_hand_written_network() -> None:
    """The logits are those of the same network written by hand."""
    module = notation.build("[C3(S2P1)@4-AP2(S1)]-FC6-FC3", (2, 7, 7))
    conv, fc1, fc2 = module.conv1, module.fc1, module.fc2
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(fc1, nn.Linear)
    assert isinstance(fc2, nn.Linear)
    images = torch.randn(5, 2, 7, 7)
    features = torch.relu(nn.functional.conv2d(images, conv.weight, conv.bias, stride=2, padding=1))
    features = nn.functional.avg_pool2d(features, 2, 1).reshape(5, -1)
    hidden = torch.relu(features @ fc1.weight.T + fc1.bias)
    torch.testing.assert_close(module(images), hidden @ fc2.weight.T + fc2.bias)


@pytest.mark.parametrize("line", _LINES)
def test_the_parameters_foreseen_are_those_built(line: str) -> None:
    input_shape = next(n.input_shape for n in map(zoo.get, zoo.names()) if n.notation == line)
    assert input_shape is not None
    layers = notation.parse(line)
    inputs = (input_shape, *notation.shapes(layers, input_shape))
    foreseen = sum(itertools.starmap(notation.parameters, zip(layers, inputs[:-1], strict=True)))
    with torch.device("meta"):
        module = notation.build(line, input_shape)
    assert foreseen == sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "character 1: expected a layer (C, MP, AP, FC or D), found the end of the line"),
        ("FC10-", "character 6: expected a layer (C, MP, AP, FC or D), found the end of the line"),
        ("FC9--FC10", "character 5: expected a layer (C, MP, AP, FC or D), found '-'"),
        ("[]-FC10", "character 2: expected a layer (C, MP, AP, FC or D), found ']'"),
        ("FC9-RELU-FC10", "character 5, in 'RELU': expected a layer (C, MP, AP, FC or D), found 'RELU'"),
        ("FC9- FC10", "character 5, in ' FC10': expected a layer (C, MP, AP, FC or D), found ' FC10'"),
        ("FC-FC10", "character 3, in 'FC': expected a number of features from 1 to 100000, found '-'"),
        ("FC0", "character 3, in 'FC0': expected a number of features from 1 to 100000, found '0'"),
        ("FC²", "character 3, in 'FC²': expected a number of features from 1 to 100000, found '²'"),
        ("FC10x", "character 5, in 'FC10x': expected the end of this layer ('-', ']' or the end of the line), found 'x'"),
        ("C(S1P2)@8", "character 2, in 'C(S1P2)@8': expected a kernel size from 1 to 100000, found '(S1P2)@8'"),
        ("C5@8", "character 3, in 'C5@8': expected '(S' and a stride, found '@8'"),
        ("C5(S0P2)@8", "character 5, in 'C5(S0P2)@8': expected a stride from 1 to 100000, found '0P2)@8'"),
        ("FC9-C5(S1)@8", "character 10, in 'C5(S1)@8': expected 'P' and a padding, found ')@8'"),
        ("C5(S1P-2)@8", "character 7, in 'C5(S1P': expected a padding from 0 to 100000, found '-'"),
        ("C5(S1P2)", "character 8, in 'C5(S1P2)': expected ')@' and a number of channels, found ')'"),
        ("C5(S1P2)@", "character 10, in 'C5(S1P2)@': expected a number of channels from 1 to 100000, found the end of the line"),
        ("C5(S1P2)@100001", "character 10, in 'C5(S1P2)@100001': expected a number of channels from 1 to 100000, found '100001'"),
        ("C5(S1P2)@8b", "character 11, in 'C5(S1P2)@8b': expected the end of this layer ('-', ']' or the end of the line), found 'b'"),
        ("MP2", "character 4, in 'MP2': expected '(S' and a stride, found the end of the line"),
        ("AP2(S2", "character 7, in 'AP2(S2': expected ')', found the end of the line"),
        ("D1-FC10", "character 2, in 'D1': expected a drop probability from 0 to less than 1, found '1'"),
        ("D.5-FC10", "character 2, in 'D.5': expected a drop probability from 0 to less than 1, found '.5'"),
        ("D0.-FC10", "character 2, in 'D0.': expected a drop probability from 0 to less than 1, found '0.'"),
        ("FC9-[FC10", "character 5, in '[': expected a ']' that closes this stage"),
        ("FC9]-FC10", "character 4, in ']': there is no '[' that this ']' closes"),
        ("[FC9]]-FC10", "character 6, in ']': there is no '[' that this ']' closes"),
        ("[FC9-[FC10]]", "character 6, in '[': expected a layer; a stage cannot contain another stage"),
        ("[FC9][FC10]", "character 6, in '[': expected '-' before this stage"),
        ("D0.5-MP2(S2)", "a network without a classifier; expected a convolution or fully connected layer"),
        ("-".join(["FC1"] * 1001), "a network of 1001 layers; expected at most 1000"),
        ("F" * 20001, "a network of 20001 characters; expected at most 20000"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_line_is_named_with_its_place(line: str, message: str) -> None:
    with pytest.raises(NotationError) as caught:
        notation.parse(line)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("FC9-C3(S1P1)@8-FC10", "character 5, in 'C3(S1P1)@8': expected feature maps as input, found 9 flat features"),
        ("FC9-MP2(S2)", "character 5, in 'MP2(S2)': expected feature maps as input, found 9 flat features"),
        ("C9(S1P0)@8-FC10", "character 1, in 'C9(S1P0)@8': gives no output for 3x8x8: the kernel is larger than its input"),
        ("C11(S1P1)@8-FC10", "character 1, in 'C11(S1P1)@8': gives no output for 3x8x8: the kernel is larger than its input with its padding"),
        ("MP4(S4)-AP4(S1)-FC10", "character 9, in 'AP4(S1)': gives no output for 3x2x2: the kernel is larger than its input"),
        ("C3(S1P1)@10-AP4(S4)", "character 13, in 'AP4(S4)': the network ends in 10x2x2 on an input of 3x8x8; expected one value for each of the 10 classes of C3(S1P1)@10"),
        ("C1(S1P9999)@2-AP8(S8)-FC1", "character 1, in 'C1(S1P9999)@2': gives 2x20006x20006 values for one image; at most 100000000 are allowed"),
        ("FC99999-FC99999", "character 9, in 'FC99999': brings the network to 10019199807 parameters on an input of 3x8x8; at most 500000000 are allowed"),
    ],
)  # fmt: skip
def test_a_layer_that_does_not_fit_is_named_with_its_place(line: str, message: str) -> None:
    with pytest.raises(NotationError) as caught:
        notation.build(line, (3, 8, 8))
    assert str(caught.value) == message


@pytest.mark.parametrize("input_shape", [(), (3, 8), (0,), (3, 0, 8), (3, 8, -1), (1, 3, 8, 8), (100_001,)])
def test_an_input_must_be_an_image(input_shape: Shape) -> None:
    with pytest.raises(NotationError, match=r"an input of shape .* expected \(channels, height, width\)"):
        notation.build("FC10", input_shape)


def test_error_keeps_its_place_across_processes() -> None:
    """An error carries its place and survives the way between processes."""
    with pytest.raises(NotationError) as caught:
        notation.parse("FC9-C5(S1)@8")
    sent = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 (pickled in the line itself)
    assert (sent.token, sent.position, str(sent)) == ("C5(S1)@8", 10, str(caught.value))
