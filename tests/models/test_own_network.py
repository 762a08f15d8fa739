"""Networks of the user are tried in a process of their own, counted, and made from copies."""

from pathlib import Path

import pytest
import torch
from support.own_process import try_here
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from models import own_code, own_process, zoo
from models.cost import network_cost
from models.notation import NotationError

HEAD = "import torch\nfrom torch import nn\n\n\n"
SMALL = HEAD + (
    "class SmallNet(nn.Sequential):\n"
    "    def __init__(self, input_shape, classes):\n"
    "        channels, height, width = input_shape\n"
    "        features = 4 * (height // 2) * (width // 2)\n"
    "        super().__init__(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),\n"
    "                         nn.Linear(features, classes))\n"
)
SHAPE = (1, 8, 8)


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; a network is tried in a process of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def here(apart: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, but a network is tried in this process, which needs no start."""
    try_here(monkeypatch)
    return apart


def _network(folder: Path, code: str) -> str:
    (folder / "mine.py").write_text(HEAD + code, encoding="utf-8")
    return "mine.py:Net"


def _module(forward: str, layers: str = "self.fc = nn.Linear(64, 10)") -> str:
    return (
        f"class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {layers}\n"
        f"    def forward(self, x):\n        {forward}\n"
    )


def test_a_class_is_called_with_shape_and_classes(here: Path) -> None:
    (here / "mine.py").write_text(SMALL, encoding="utf-8")
    network = zoo.build("mine.py:SmallNet", SHAPE, 7)
    assert network(torch.zeros(3, *SHAPE)).shape == (3, 7)


@pytest.mark.parametrize(
    "parameters",
    [
        "input_shape, classes",
        "shape, count",
        "num_classes=10, width=64",
        "width=64, *, classes, input_shape=None",
        "num_classes, width=64",
        "width=64, num_classes=10, **settings",
    ],
)
def test_classes_are_given_by_name_or_as_the_second(here: Path, parameters: str) -> None:
    """Networks of other projects often take the number of classes alone, beside settings of their own."""
    code = f"def Net({parameters}):\n    given = locals()\n    width = given.get('width', 64)\n"
    code += "    count = next(given[name] for name in ('classes', 'num_classes', 'count') if name in given)\n"
    code += "    return nn.Sequential(nn.Flatten(), nn.Linear(width, count))\n"
    assert zoo.build(_network(here, code), SHAPE, 7)(torch.zeros(3, *SHAPE)).shape == (3, 7)


def test_a_wrapper_passes_shape_and_classes_on(here: Path) -> None:
    code = "def Net(*given):\n    shape, count = given\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, count))\n"
    assert zoo.build(_network(here, code), SHAPE, 7)(torch.zeros(3, *SHAPE)).shape == (3, 7)


def test_a_function_may_take_nothing(here: Path) -> None:
    reference = _network(here, "def Net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n")
    assert zoo.build(reference, SHAPE, 10)(torch.zeros(2, *SHAPE)).shape == (2, 10)


def test_view_works_on_images_with_channels_last(here: Path) -> None:
    reference = _network(here, _module("return self.fc(x.view(x.size(0), -1))", "self.fc = nn.Linear(3 * 64, 10)"))
    images = torch.zeros(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert zoo.build(reference, (3, 8, 8), 10)(images).shape == (2, 10)


def test_lazy_layers_get_their_weights_from_the_seed(here: Path) -> None:
    reference = _network(
        here, "def Net(shape, classes):\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))\n"
    )

    def weights() -> torch.Tensor:
        torch.manual_seed(3)
        weight: torch.Tensor = zoo.build(reference, SHAPE, 10).state_dict()["1.weight"]
        return weight

    assert weights().shape == (10, 64)
    assert torch.equal(weights(), weights())


def test_costs_are_those_of_pytorchs_flop_counter(here: Path) -> None:
    """Attention is counted too, because code of the user need not have layers."""
    reference = _network(
        here,
        _module(
            "t = x.flatten(2).transpose(1, 2) @ self.mix\n"
            "        t = torch.nn.functional.scaled_dot_product_attention(t, t, t)\n"
            "        return self.fc(t.mean(1))",
            "self.mix = nn.Parameter(torch.randn(1, 16)); self.fc = nn.Linear(16, 10)",
        ),
    )
    counted = network_cost(reference, SHAPE, 10)
    network = zoo.build(reference, SHAPE, 10)
    with FlopCounterMode(display=False) as flops, sdpa_kernel(SDPBackend.MATH):
        network(torch.rand(1, *SHAPE))
    assert counted.multiplications == flops.get_total_flops() // 2 == 64 * 16 + 2 * 64 * 64 * 16 + 160
    assert counted.parameters == 16 + 170


def test_the_cost_of_layers_is_that_of_their_line(here: Path) -> None:
    (here / "mine.py").write_text(SMALL, encoding="utf-8")
    own, line = network_cost("mine.py:SmallNet", SHAPE, 10), network_cost("[C3(S1P1)@4-MP2(S2)]-FC10", SHAPE)
    assert (own.multiplications, own.parameters) == (line.multiplications, line.parameters)
    assert [layer.token for layer in own.layers] == ["C3(S1P1)@4", "FC10"]


def test_batch_norm_of_one_value_needs_two_images(here: Path) -> None:
    (here / "mine.py").write_text(SMALL, encoding="utf-8")
    assert zoo.smallest_batch("mine.py:SmallNet", SHAPE, 10) == 1
    normalised = _network(
        here,
        _module(
            "return self.fc(self.norm(x.flatten(1)))", "self.norm = nn.BatchNorm1d(64); self.fc = nn.Linear(64, 10)"
        ),
    )
    assert zoo.smallest_batch(normalised, SHAPE, 10) == 2


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (_module("return self.fc(x.flatten(1))[:, :5]"), r"gives \(2, 5\) for 2 images; expected \(2, 10\)"),
        (_module("return self.fc(x.flatten(1)).squeeze()"), r"gives \(10,\) for 1 image; expected \(1, 10\)"),
        (_module("raise RuntimeError('not\\ntoday')"), r"RuntimeError: not today \(mine.py, line 10\)"),
        (_module("return self.fc(x)"), r"mat1 and mat2 shapes cannot be multiplied .*\(mine.py, line 10\)"),
        (_module("return (self.fc(x.flatten(1)),)"), "gives tuple; expected a tensor of logits"),
        (_module("return self.fc(x.flatten(1)).double()"), r"gives logits as torch.float64"),
        (_module("return self.fc(x.flatten(1)) / 0"), "not finite"),
        (_module("return self.fc(x.flatten(1)).detach()"), "does not require grad"),
        (_module("return self.fc(x.flatten(1))", "self.fc = nn.Linear(64, 10).half()"), "expected torch.float32"),
        ("def Net(a, b, c):\n    return nn.Linear(2, 2)\n", "needs `a`, `b`, `c`; expected `input_shape` and"),
        ("def Net(width, num_classes=10):\n    return nn.Linear(2, 2)\n", "needs `width`; expected `input_shape` and"),
        ("def Net():\n    return 3\n", "makes int; expected a torch.nn.Module"),
        ("Net = nn.Linear(2, 2)\n", "is not a class or function that makes a network, but Linear"),
        ("Nut = 3\n", "mine.py has no `Net`; did you mean `Nut`?"),
        ("import absent_package\n", "mine.py cannot be imported: ModuleNotFoundError: No module named 'absent_pack"),
        ("def Net(:\n", "mine.py, line 5: not Python"),
        ("def Net():\n    return nn.Sequential(nn.Flatten())\n", "no weights that can be trained"),
        (
            "import random\n\n\ndef Net():\n    net = nn.Linear(64, 10)\n"
            "    nn.init.constant_(net.bias, random.random())\n"
            "    return nn.Sequential(nn.Flatten(), net)\n",
            "1.bias differs between two networks of one seed",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_one_line(here: Path, code: str, says: str) -> None:
    reference = _network(here, code)
    with pytest.raises(NotationError, match=says) as raised:
        network_cost(reference, SHAPE, 10)
    assert "\n" not in str(raised.value)


def test_a_network_that_hangs_is_ended(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_process, "SECONDS", 1)
    reference = _network(apart, _module("while True: pass"))
    with pytest.raises(NotationError, match=r"takes more than 1 s .*; does it hang\?"):
        network_cost(reference, SHAPE, 10)


def test_a_network_that_ends_its_process(apart: Path) -> None:
    reference = _network(apart, "print('{}')\n" + _module("import os; os._exit(3)"))
    with pytest.raises(NotationError, match=r"the process that tried mine\.py:Net ended with status 3"):
        network_cost(reference, SHAPE, 10)


def test_the_answer_of_the_process_that_tries(apart: Path) -> None:
    """It is not what the code prints, and a file `models.py` hides nothing in it."""
    (apart / "models.py").write_text("print('{}')\n" + SMALL, encoding="utf-8")
    assert network_cost("models.py:SmallNet", SHAPE, 10).parameters == 40 + 650


def test_no_file_is_imported_by_the_name_of_our_package(here: Path) -> None:
    (here / "models.py").write_text(SMALL, encoding="utf-8")
    assert zoo.get("models.py:SmallNet").notation is None
    _network(here, "from models import SmallNet as Net\n")
    with pytest.raises(NotationError, match=r"models.py is imported, but `models` is a package of this project"):
        zoo.get("mine.py:Net")


def test_a_module_of_an_installed_package(here: Path) -> None:
    network = zoo.build("torch.nn:Identity", SHAPE, 10)
    assert isinstance(network, torch.nn.Identity)
    code = own_code.located("platformdirs.api:PlatformDirsABC")
    assert not code.travels
    assert Path("platformdirs/api.py") in code.files
