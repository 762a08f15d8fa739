"""Private parts of foreign libraries are named in `study/adapters` only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    file
    for package in ("study", "models", "search_spaces")
    for file in (ROOT / package).rglob("*.py")
    if file.parent != ROOT / "study" / "adapters"
)

ALLOWED = {
    "os._exit": "documented by Python, for a process that must not wind down",
    "pickle._Unpickler": "Python's own reader in Python; the one in C cannot be bounded, so there is no fallback",
    "study._read": "our own object",
    "copy._fixed": "our own object: a copy of a study file",
    "torch.utils._python_dispatch": "PyTorch's documented way to watch operators; no public module has it",
    "torch.nn.modules.batchnorm._BatchNorm": "the common base class of the batch norms",
}
"""What stays, and why."""


def private_names(source: str) -> Iterator[str]:
    """Attributes of other objects, modules and imported names that begin with one underscore."""

    def is_private(name: str) -> bool:
        return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            if is_private(node.module):
                yield node.module
            else:
                yield from (f"{node.module}.{alias.name}" for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            if owner not in ("self", "cls"):
                yield f"{owner}.{node.attr}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from ray._private import ray_constants", ["ray._private"]),
        ("import ray._raylet", ["ray._raylet"]),
        ("from torch.nn.modules.batchnorm import _BatchNorm", ["torch.nn.modules.batchnorm._BatchNorm"]),
        ("trial._trial_id", ["trial._trial_id"]),
        ("super()._serialize()", ["super()._serialize"]),
        ("self._mine, cls._ours, other.__dict__", []),
    ],
)
def test_a_private_name_is_found(source: str, found: list[str]) -> None:
    assert list(private_names(source)) == found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_private_part_outside_the_adapters(file: Path) -> None:
    assert [name for name in private_names(file.read_text(encoding="utf-8")) if name not in ALLOWED] == []


@pytest.mark.parametrize("adapter", sorted((ROOT / "study" / "adapters").glob("*.py")), ids=lambda file: file.stem)
def test_an_adapter_says_its_version_and_what_it_replaces(adapter: Path) -> None:
    docstring = ast.get_docstring(ast.parse(adapter.read_text(encoding="utf-8"))) or ""
    if adapter.stem not in ("__init__", "versions"):
        assert "ritten for" in docstring
        assert "replace" in docstring or "refused instead" in docstring
