"""Imports go downward only, and the rooms that promise to be light are."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.stages import SEARCH_BASELINE, TEACHER

ROOT = Path(__file__).parents[1]
LAYERS: list[set[str]] = [
    {"study.plain"},
    {
        "study.errors",
        "study.interrupts",
        "study.environment",
        "study.stages",
        "study.adapters",
        "study.datasets",
        "study.digests",
        "models",
        "study.disk",
    },
    {"study.shadows", "study.values", "study.locks"},
    {"study.noise"},
    {"study.methods"},
    {"study.config"},
    {"study.records", "study.storage"},
    {"study.data"},
    {"search_spaces"},
    {"study.planning"},
    {"study.distill", "study.tracking"},
    {"study.lookup"},
    {"study.results"},
    {"study.running", "study.cluster"},
    {"study.export"},
    {"study.launch"},
    {"study.api", "study.question"},
    {"study.terminal"},
]
"""From the bottom up; what stands in one layer does not know its neighbours."""

HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}
FILES = sorted(file for package in ("study", "models", "search_spaces") for file in (ROOT / package).rglob("*.py"))


def _module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def _room(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "study" else parts[0]


def _imports(file: Path) -> Iterator[str]:
    """Every module a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            assert node.module is not None
            for alias in node.names:
                submodule = ROOT / node.module.replace(".", "/") / alias.name
                is_module = submodule.is_dir() or submodule.with_suffix(".py").exists()
                yield f"{node.module}.{alias.name}" if is_module else node.module


def _files_of(room: str) -> list[Path]:
    return [file for file in FILES if _room(_module(file)) == room]


def _loaded_by(*modules: str) -> set[str]:
    """The top-level packages that importing these modules loads, in a process of its own."""
    program = f"import sys; import {', '.join(modules)}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in ran.stdout.split()}


@pytest.mark.parametrize("file", FILES, ids=_module)
def test_imports_go_downward_only(file: Path) -> None:
    room = _room(_module(file))
    if room == "study":
        assert {name for name in _imports(file) if name not in ("os", "typing")} == {
            "study.api",
            "study.shadows",
        }  # late: see below
        return
    for imported in _imports(file):
        if imported.split(".")[0] in ("study", "models", "search_spaces"):
            below = _room(imported)
            assert below == room or HEIGHT[below] < HEIGHT[room], f"{_module(file)} imports {imported}"


def test_every_room_has_a_place_in_the_layers() -> None:
    assert {_room(_module(file)) for file in FILES} - {"study"} <= HEIGHT.keys()


def test_models_know_nothing_of_studies() -> None:
    for file in _files_of("models"):
        assert not [name for name in _imports(file) if _room(name).startswith(("study", "search_spaces"))]


@pytest.mark.parametrize(
    ("rooms", "never"),
    [
        (["study.results"], {"torch", "ray"}),
        (["study.distill", "study.data", "models"], {"ray", "mlflow", "optuna"}),
        (["study.tracking"], {"torch", "ray", "optuna"}),
        (["search_spaces"], {"torch", "ray", "mlflow"}),
        (["study.config", "study.values"], {"torch", "ray", "mlflow", "optuna", "numpy"}),
    ],
)
def test_a_room_is_light_in_what_it_names_and_in_what_it_loads(rooms: list[str], never: set[str]) -> None:
    files = [file for room in rooms for file in _files_of(room)]
    assert files
    named = {name.split(".")[0] for file in files for name in _imports(file)}
    assert not named & never
    assert not _loaded_by(*map(_module, files)) & never


def test_importing_the_package_loads_none_of_it() -> None:
    assert not _loaded_by("study") & {"torch", "ray", "mlflow", "optuna", "pandas", "numpy", "pydantic"}


def test_reading_a_study_in_a_notebook_does_not_wait_for_ray() -> None:
    assert not _loaded_by("study.api", "study.results.table") & {"torch", "ray", "mlflow", "optuna"}


def test_command_line_answers_without_torch_or_ray() -> None:
    """The command line answers without waiting for the import of torch or Ray."""
    assert not _loaded_by("study.terminal.cli") & {"torch", "ray", "mlflow", "optuna"}


def _reads_of_the_environment(file: Path) -> Iterator[str]:
    """Every expression of a file that reads one variable. Setting a variable, and passing all of them on to a child
    process, is no read."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        words = ast.unparse(node) if isinstance(node, ast.expr) else ""
        is_call = isinstance(node, ast.Call) and words.startswith(("os.environ.get(", "os.getenv(", "getenv("))
        is_item = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and words.startswith("os.environ[")
        is_test = isinstance(node, ast.Compare) and words.endswith(" os.environ")
        if is_call or is_item or is_test:
            yield words


def test_one_module_reads_environment_variables() -> None:
    """`study` checks whether a variable of OpenMP is set, because it sets it only if the user has not."""
    reads = {_module(file): list(_reads_of_the_environment(file)) for file in FILES}
    assert reads.pop("study.environment")
    assert {module: words for module, words in reads.items() if words} == {
        "study": ["'OMP_WAIT_POLICY' not in os.environ"]
    }


def test_one_module_knows_the_names_of_passes() -> None:
    """A pass is a stage, or a part of a stage with a name of its own."""
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        strings = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
        names = {SEARCH_BASELINE, f"{TEACHER}-"} & strings
        assert bool(names) == (_module(file) == "study.stages"), f"{file} has its own {names}"


def test_nothing_reads_a_pickle_or_unsafe_yaml() -> None:
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
            called = ast.unparse(call.func)
            assert called not in ("pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load", "eval", "exec"), file
            if called == "torch.load":
                assert "weights_only=True" in ast.unparse(call), file
