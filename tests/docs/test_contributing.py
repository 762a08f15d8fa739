"""The examples of CONTRIBUTING.md work: each is applied to a copy of the source, and used in a process of its own."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("study", "models", "search_spaces"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def _example(name: str) -> str:
    """The code block behind the mark of an example."""
    found = re.search(rf"^<!-- example: {name} -->\n```\w+\n(.*?)^```", TEXT, flags=re.M | re.S)
    assert found is not None, f"CONTRIBUTING.md has no example of a {name}"
    return found[1]


def _says(line: str) -> str:
    """A line that the page asks to be added."""
    assert f"`{line}`" in TEXT
    return line


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file.name} has {text.count(old)} times: {old}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def _touched(copy: Path) -> set[str]:
    """The source files that are new or changed in the copy."""
    files = {file for file in copy.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    original = {file: ROOT / file.relative_to(copy) for file in files}
    return {
        str(file.relative_to(copy))
        for file, before in original.items()
        if not before.exists() or before.read_bytes() != file.read_bytes()
    }


def _run(copy: Path, program: str) -> str:
    """What a program prints that uses the changed copy."""
    check = f"import study; assert study.__file__.startswith({str(copy)!r}), study.__file__\n"
    ran = subprocess.run([sys.executable, "-c", check + program], cwd=copy, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_data_set_is_one_file_and_two_lines(copy: Path) -> None:
    (copy / "study/data/sources/stripes.py").write_text(_example("data set"), encoding="utf-8")
    declared = copy / "study/data/sources/__init__.py"
    _replace(declared, "mnist, svhn, svhn_no_extra\n", "mnist, stripes, svhn, svhn_no_extra\n")
    _replace(declared, "    image_folder.SOURCE,\n", f"    image_folder.SOURCE,\n    {_says('stripes.SOURCE,')}\n")
    datasets = copy / "study/datasets.py"
    content = datasets.read_text(encoding="utf-8").rstrip()
    assert content.endswith("}")
    line = _says('"stripes": {"validation": 100},')
    datasets.write_text(f"{content[:-1]}    {line}\n}}\n", encoding="utf-8")
    printed = _run(
        copy,
        "from pathlib import Path\n"
        "from study.config import DataConfig\n"
        "from study.data import describe_dataset, load_dataset\n"
        "config = DataConfig.model_validate({'name': 'stripes'})\n"
        "data, facts = load_dataset(config, Path('.')), describe_dataset(config, Path('.'))\n"
        "assert (data.input_shape, data.class_count) == (facts.input_shape, facts.class_count)\n"
        "print(len(data.train), len(data.validation), len(data.test), data.class_count)\n",
    )
    assert printed.split() == ["300", "100", "100", "2"]


def test_a_recipe_is_one_file(copy: Path) -> None:
    (copy / "search_spaces/recipes/digits-frozen-noise.yaml").write_text(_example("recipe"), encoding="utf-8")
    printed = _run(
        copy,
        "from search_spaces.library import recipe_names, recipe_text\n"
        "from study.config import parse_study\n"
        "from study.planning.plan import grid_trials\n"
        "(name,) = [name for name in recipe_names() if name == 'digits-frozen-noise']\n"
        "print(len(grid_trials(parse_study(recipe_text(name), name))))\n",
    )
    assert printed.split() == ["15"]  # the baseline and four points, three seeds each


def test_a_search_space_is_a_function_and_one_line(copy: Path) -> None:
    spaces = copy / "search_spaces/spaces.py"
    head = "SPACES: dict[str, Space] = {\n"
    line = _says('"low_temperature": low_temperature,')
    _replace(spaces, head, f"{_example('space')}\n\n{head}    {line}\n")
    printed = _run(
        copy,
        "from optuna.trial import FixedTrial\n"
        "from search_spaces.library import recipe_text\n"
        "from search_spaces.spaces import get_space\n"
        "from study.config import parse_study\n"
        "from study.planning.plan import search_trial\n"
        "study = parse_study(recipe_text('quickstart-search'), 'quickstart-search', ['search.space=low_temperature'])\n"
        "arm = get_space('low_temperature')(FixedTrial({'temperature': 2.5}), study)\n"
        "print(search_trial(study, arm).temperature)\n",
    )
    assert printed.split() == ["2.5"]


def test_an_optimiser_is_a_name_and_a_line(copy: Path) -> None:
    old = 'optimizer: Literal["adam", "sgd"] = "adam"'
    (models,) = [file for file in (copy / "study").rglob("*.py") if old in file.read_text(encoding="utf-8")]
    _replace(models, old, _says('optimizer: Literal["adam", "sgd", "adamw"] = "adam"'))
    line = _example("optimiser")
    _replace(copy / "study/distill/optimizers.py", "            eps=_EPS,\n", f"{line}            eps=_EPS,\n")
    printed = _run(
        copy,
        "import torch\n"
        "from study.config import TrainConfig\n"
        "from study.distill.optimizers import Optimizer\n"
        "ours, theirs = (torch.nn.Parameter(torch.ones(5)) for _ in range(2))\n"
        "settings = TrainConfig(optimizer='adamw', weight_decay=0.1)\n"
        "one, other = Optimizer([ours], settings), torch.optim.AdamW([theirs], weight_decay=0.1, fused=True)\n"
        "for step in range(3):\n"
        "    ours.grad = theirs.grad = torch.arange(5.0) - step\n"
        "    one.step(1e-3)\n"
        "    other.step()\n"
        "print(torch.equal(ours, theirs), float((ours - 1).abs().max()) > 0)\n",
    )
    assert printed.split() == ["True", "True"]


def test_a_method_is_one_file_and_one_line(copy: Path) -> None:
    (copy / "study/methods/huber_regression.py").write_text(_example("method"), encoding="utf-8")
    methods = copy / "study/methods/__init__.py"
    _replace(methods, "\nMETHODS:", "\nfrom study.methods.huber_regression import HuberRegression\n\nMETHODS:")
    text = methods.read_text(encoding="utf-8")
    methods.write_text(re.sub(r"(METHODS: [^\n]*), Labels\)", r"\1, Labels, HuberRegression)", text), encoding="utf-8")
    printed = _run(
        copy,
        "import torch\n"
        "from search_spaces.library import recipe_text\n"
        "from study.config import parse_study\n"
        "from study.methods import HuberRegression\n"
        "from study.methods.base import Batch\n"
        "from study.planning.plan import grid_trials\n"
        "given = ['arms=[{method: huber_regression, delta: [1, 2]}]']\n"
        "arms = [t for t in grid_trials(parse_study(recipe_text('quickstart'), 'x', given)) if t.role == 'arm']\n"
        "batch = Batch(torch.tensor([[3.0, 0.5]]), torch.zeros(1, 2), None, lambda: torch.zeros(1))\n"
        "print(sorted({trial.delta for trial in arms}), float(HuberRegression(delta=1.0).loss(batch)))\n",
    )
    assert printed == "[1.0, 2.0] 2.625\n"  # 1 * (3 - 1/2) + 0.5^2 / 2


def test_a_method_beside_a_study_file_needs_no_change(copy: Path) -> None:
    (copy / "huber_regression.py").write_text(_example("method"), encoding="utf-8")
    line = _says('method: "huber_regression.py:HuberRegression"')
    printed = _run(
        copy,
        "import torch\n"
        "from search_spaces.library import recipe_text\n"
        "from study.config import parse_study\n"
        "from study.methods.base import Batch\n"
        "from study.planning.plan import grid_trials\n"
        f"given = ['arms=[{{{line}, delta: [1, 2]}}]']\n"
        "arms = [t for t in grid_trials(parse_study(recipe_text('quickstart'), 'x', given)) if t.role == 'arm']\n"
        "batch = Batch(torch.tensor([[3.0, 0.5]]), torch.zeros(1, 2), None, lambda: torch.zeros(1))\n"
        "print(sorted({t.learns.delta for t in arms}), float(arms[0].learns.loss(batch)))\n",
    )
    assert printed == "[1.0, 2.0] 2.625\n"


def test_a_sampler_is_a_function_and_a_name(copy: Path) -> None:
    samplers, settings = copy / "study/running/samplers.py", copy / "study/config/search.py"
    head = "SAMPLERS: Mapping[Sampler, Callable[[Ask], BaseSampler]] = {\n"
    _replace(samplers, head, f"{_example('sampler')}\n\n{head}")
    line = _says('"halton": _halton,')
    _replace(samplers, '    "cmaes": _cmaes,\n', f'    "cmaes": _cmaes,\n    {line}\n')
    names = 'Sampler = Literal["grid", "random", "qmc", "tpe", "gp", "cmaes"]'
    _replace(settings, names, _says(names.replace("]", ', "halton"]')))
    assert _touched(copy) == {"study/running/samplers.py", "study/config/search.py"}
    printed = _run(
        copy,
        "import optuna\n"
        "from search_spaces.library import recipe_text\n"
        "from study.adapters.optuna_tpe import EndedTrials\n"
        "from study.config import parse_study\n"
        "from study.running.samplers import make_sampler\n"
        "optuna.logging.set_verbosity(optuna.logging.ERROR)\n"
        "given = ['search={space: sigma_alpha, sampler: halton, trials: 9}']\n"
        "search = parse_study(recipe_text('quickstart-search'), 'x', given).search\n"
        "drawn = optuna.create_study()\n"
        "for asked in range(9):\n"
        "    drawn.sampler = make_sampler(search, 0, asked, EndedTrials())\n"
        "    trial = drawn.ask()\n"
        "    drawn.tell(trial, trial.suggest_float('x', 0, 1))\n"
        "ninths = {int(9 * value) for value in (trial.params['x'] for trial in drawn.trials)}\n"
        "print(type(drawn.sampler).__name__, len(ninths) > 6)\n",
    )
    assert printed.split() == ["QMCSampler", "True"]


def test_a_form_of_noise_is_one_file_and_one_line(copy: Path) -> None:
    (copy / "study/noise/log_normal.py").write_text(_example("noise"), encoding="utf-8")
    forms = copy / "study/noise/__init__.py"
    _replace(forms, "\nFORMS: ", "from study.noise.log_normal import LogNormal\n\nFORMS: ")
    _replace(forms, ", Scaled)\n", ", Scaled, LogNormal)\n")
    assert _touched(copy) == {"study/noise/log_normal.py", "study/noise/__init__.py"}
    printed = _run(
        copy,
        "import torch\n"
        "from study.noise import form_named\n"
        "form = form_named('log_normal')\n"
        "logits = torch.tensor([[3.0, -2.0]])\n"
        "noisy = form.applied(logits, form.drawn(torch.tensor([[0.0, 1.0]])))\n"
        "print(noisy[0, 0].item(), round(noisy[0, 1].item(), 3))\n",
    )
    assert printed.split() == ["3.0", "-5.437"]


def test_a_figure_is_one_file_and_one_line(copy: Path) -> None:
    (copy / "study/results/figures/seeds.py").write_text(_example("figure"), encoding="utf-8")
    pictures = copy / "study/results/figures/pictures.py"
    line = _says("seeds.sketches,")
    _replace(pictures, "    durations.sketches,\n", f"    durations.sketches,\n    {line}\n")
    _replace(pictures, "    importance,\n", "    importance,\n    seeds,\n")
    assert _touched(copy) == {"study/results/figures/seeds.py", "study/results/figures/pictures.py"}
    printed = _run(
        copy,
        f"import sys; sys.path += {[str(ROOT / 'tests/results'), str(ROOT / 'tests')]!r}\n"
        "from types import SimpleNamespace\n"
        "from test_render import ARM, BASE, table_of\n"
        "from study.results.figures.pictures import FIGURES\n"
        "sketches = FIGURES[-1]\n"
        "(sketch,) = sketches(SimpleNamespace(table=table_of(BASE, ARM)))\n"
        "print(sketch.finish().svg.count('<svg '), len(sketches(SimpleNamespace(table=table_of()))))\n",
    )
    assert printed.split() == ["1", "0"]


def test_a_column_is_one_entry(copy: Path) -> None:
    columns = copy / "study/results/columns.py"
    _replace(columns, "    _settings_for_programs,\n", f"{_example('column').rstrip()},\n    _settings_for_programs,\n")
    assert _touched(copy) == {"study/results/columns.py"}
    printed = _run(
        copy,
        f"import sys; sys.path += {[str(ROOT / 'tests/results'), str(ROOT / 'tests')]!r}\n"
        "import json\n"
        "from dataclasses import replace\n"
        "from test_render import ARM, BASE, table_of\n"
        "from study.results.render import FORMATS, render\n"
        "table = table_of(BASE, replace(ARM, n_failed=2))\n"
        "print(all('lost' in render(table, format) for format in FORMATS))\n"
        "print([row['n_lost'] for row in json.loads(render(table, 'json'))['rows']])\n",
    )
    assert printed == "True\n[0, 2]\n"


def test_a_command_is_one_file_and_one_line(copy: Path) -> None:
    (copy / "study/terminal/cli/count.py").write_text(_example("command"), encoding="utf-8")
    commands = copy / "study/terminal/cli/__init__.py"
    _replace(commands, "    compare,\n", "    compare,\n    count,\n")
    line = _says('("count", count.count),')
    _replace(commands, '    ("ui", ui.ui),\n', f'    ("ui", ui.ui),\n    {line}\n')
    assert _touched(copy) == {"study/terminal/cli/count.py", "study/terminal/cli/__init__.py"}
    printed = _run(
        copy,
        "import sys\n"
        "from study.terminal.cli import main\n"
        "sys.argv = ['noisy-study', 'count', 'quickstart', '--set', 'seeds=[0, 1]']\n"
        "main()\n",
    )
    assert int(printed) > 0
    assert int(printed) % 2 == 0
