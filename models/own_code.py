"""Python code of the user by reference: `mine.py:SmallNet`, or `package.module:SmallNet`.

Works on files and on Python's import path. It says which files belong to a reference, gives their digest, and imports
the name. The files of a reference are the file itself and everything that it imports from its own folder. A study keeps
copies of these files; inside `copies_in` a reference means the copy. Knows nothing of networks, methods or studies.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

_REFERENCE = re.compile(r"(?P<place>[^:\n]+\.py|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)")
_NOT_OURS = ("torchvision:",)
"""What looks like a reference to a module, and is a network of the zoo."""

PACKAGES = ("study", "models", "search_spaces")
"""The packages of this project. A file of the user cannot be imported by one of these names."""

_HOME = Path(__file__).resolve().parents[1]


class OwnCodeError(ValueError):
    """Code of the user that cannot be read or imported. The message is one line: where, and what is wrong."""


@dataclass(frozen=True)
class OwnCode:
    """The code behind a reference.

    Attributes:
        reference: `mine.py:SmallNet`.
        place: what is before the colon: a file, or a module.
        name: what is behind the colon.
        root: the folder from which its imports start.
        files: relative to `root`; the file that has the name is the first.
        travels: whether the files belong to the study. Those of an installed package do not.
    """

    reference: str
    place: str
    name: str
    root: Path
    files: tuple[Path, ...]
    travels: bool

    @property
    def digest(self) -> str:
        """SHA-256 in hex over the names and contents of all files."""
        return _digest(self.root, self.files)


_copies: Path | None = None


@contextmanager
def copies_in(folder: Path | None) -> Iterator[None]:
    """While a process works for a study: a reference means the copy in this folder, if it has one."""
    former = _copies
    use_copies(folder)
    try:
        yield
    finally:
        use_copies(former)


def use_copies(folder: Path | None) -> None:
    """As `copies_in`, from now on: for a worker process, which works for one study until it ends."""
    global _copies
    _copies = folder


def copies() -> Path | None:
    """The folder of copies that this process uses."""
    return _copies


def is_own(reference: str) -> bool:
    """Whether a reference names code of the user."""
    return _REFERENCE.fullmatch(reference) is not None and not reference.startswith(_NOT_OURS)


def beside(reference: str, folder: Path) -> str:
    """The same reference from a study file in `folder`, as it is in the working folder.

    A file is looked for beside the study file first. If it is not there, the reference stays as it is.
    """
    place, _, name = reference.rpartition(":")
    return f"{file_beside(place, folder)}:{name}" if is_own(reference) and place.endswith(".py") else reference


def file_beside(path: str, folder: Path, is_there: Callable[[Path], bool] = os.path.isfile) -> str:
    """A path in a study file in `folder`, as it is in the working folder. It stays if no such file lies in `folder`."""
    if not is_there(folder / path):
        return path
    here, file = Path.cwd(), (folder / path).absolute()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def located(reference: str) -> OwnCode:
    """The files of a reference, without running any of them.

    Raises:
        OwnCodeError: there is no such file or module, or a file of it is not Python.
    """
    match = _REFERENCE.fullmatch(reference)
    assert match is not None, f"{reference} is not a reference to code"
    place, name = match["place"], match["name"]
    file = Path(place) if place.endswith(".py") else _file_here(place)
    if file is None:
        root, files = _installed(place)
        return OwnCode(reference, place, name, root, files, travels=False)
    root = file.parent if place.endswith(".py") else Path()
    main = file.relative_to(root)
    if _copies is not None and os.path.isfile(_copies / copy_of(root, main)):
        root = _copies / copy_of(root, Path())
    if not os.path.isfile(root / main):
        raise OwnCodeError(f"{place}: no such file beside the study file or in the working folder")
    return OwnCode(reference, place, name, root, _files_of(root, main), travels=True)


def _digest(root: Path, files: tuple[Path, ...]) -> str:
    sha = hashlib.sha256()
    for file in sorted(files):
        content = (root / file).read_bytes() if (root / file).is_file() else b""
        sha.update(f"{file.as_posix()} {hashlib.sha256(content).hexdigest()}\n".encode())
    return sha.hexdigest()


def copies_of(code: OwnCode) -> dict[Path, Path]:
    """The files that a study keeps of a reference: where each lies, by its path in the folder of copies."""
    return {copy_of(code.root, file): code.root / file for file in code.files} if code.travels else {}


def copy_of(root: Path, file: Path) -> Path:
    """The path of a file in the folder of copies: its own, or a folder apart if it lies outside the working folder."""
    if not root.is_absolute() and ".." not in root.parts:
        return root / file
    return Path("_outside") / hashlib.sha256(str(root).encode()).hexdigest()[:8] / file


def load(reference: str) -> object:
    """Import what a reference names.

    Raises:
        OwnCodeError: as `located`; the code raises an error, or does not have the name.
    """
    code = located(reference)
    try:
        module = _imported(code)
    except (Exception, SystemExit) as error:
        raise OwnCodeError(f"{code.place} cannot be imported: {in_words(error, code)}") from error
    if not hasattr(module, code.name):
        close = difflib.get_close_matches(code.name, vars(module), n=1)
        raise OwnCodeError(f"{code.place} has no `{code.name}`" + (f"; did you mean `{close[0]}`?" if close else ""))
    found: object = getattr(module, code.name)
    return found


def in_words(error: BaseException, code: OwnCode) -> str:
    """An error of the user's code in one line, with the last line of that code that it passed."""
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(": ")
    files = {str((code.root / file).resolve()): file for file in code.files}
    where, trace = "", error.__traceback__
    while trace is not None:
        passed = files.get(str(Path(trace.tb_frame.f_code.co_filename).resolve()))
        where = where if passed is None else f" ({passed}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return what + where


def _file_here(module: str) -> Path | None:
    """The file of a module that lies in the working folder, or in the folder of copies."""
    stem = Path(*module.split("."))
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if os.path.isfile(candidate) or (_copies is not None and os.path.isfile(_copies / candidate)):
            return candidate
    return None


def _installed(module: str) -> tuple[Path, tuple[Path, ...]]:
    """The folder and the files of an installed module: all files of its package, or its one file."""
    top = module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise OwnCodeError(f"no module named {module} in the working folder or among the installed packages")
    if spec.submodule_search_locations:
        package = Path(next(iter(spec.submodule_search_locations)))
        return package.parent, tuple(file.relative_to(package.parent) for file in sorted(package.rglob("*.py")))
    if spec.origin is None or not Path(spec.origin).is_file():
        raise OwnCodeError(f"module {module} has no source file")
    return Path(spec.origin).parent, (Path(Path(spec.origin).name),)


_known: dict[tuple[Path, Path], tuple[tuple[Path, ...], str]] = {}
"""The files of what was located before, and their digest, because a large grid asks thousands of times."""


def _files_of(root: Path, main: Path) -> tuple[Path, ...]:
    """A file and everything that it imports from `root`, also indirectly and inside of functions."""
    key = (root.absolute(), main)
    files, digest = _known.get(key, ((), ""))
    if digest != _digest(root, files):
        files = _followed(root, main)
        _known[key] = (files, _digest(root, files))
    return files


def _followed(root: Path, main: Path) -> tuple[Path, ...]:
    found: list[Path] = []
    # Python runs the __init__.py of every package above a module.
    open_files = [main, *(above / "__init__.py" for above in main.parents if above != Path())]
    while open_files:
        file = open_files.pop(0)
        if file in found or not (root / file).is_file():
            continue
        found.append(file)
        for module in _imports(root, file):
            parts = module.split(".")
            if parts[0] in PACKAGES and root.resolve() == _HOME:
                continue  # the working folder is a clone of this project
            for depth in range(1, len(parts) + 1):
                stem = Path(*parts[:depth])
                open_files += [stem.with_suffix(".py"), stem / "__init__.py"]
    for package in PACKAGES:
        for hidden in (Path(f"{package}.py"), Path(package) / "__init__.py"):
            if hidden in found[1:]:
                raise OwnCodeError(
                    f"{root / hidden} is imported, but `{package}` is a package of this project; rename it"
                )
    return tuple(found)


def _imports(root: Path, file: Path) -> Iterator[str]:
    """The dotted names that a file may import."""
    try:
        tree = ast.parse((root / file).read_bytes())
    except (SyntaxError, ValueError, OSError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise OwnCodeError(f"{root / file}{where}: not Python ({getattr(error, 'msg', error)})") from None
    package = file.parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *(node.module or "").split("."))).strip(".")
            yield from (f"{module}.{alias.name}".strip(".") for alias in node.names if alias.name != "*")
            if module:
                yield module


def _imported(code: OwnCode) -> ModuleType:
    if not code.travels:
        return importlib.import_module(code.place)
    main, root = code.root / code.files[0], str(code.root.resolve())
    is_file = code.place.endswith(".py")
    # A file has a name of its own among the modules, so that `models.py` hides nothing. A module keeps its name, which
    # its relative imports need.
    name = f"own_{main.stem}_{code.digest[:16]}" if is_file else code.place
    _forget_others(code, code.files[1:] if is_file else code.files)
    if (known := sys.modules.get(name)) is not None:
        return known
    sys.path.insert(0, root)
    importlib.invalidate_caches()
    try:
        if not is_file:
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location(name, main.resolve())
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module
    finally:
        sys.path.remove(root)
        if root not in sys.path:
            sys.path.append(root)  # for what the code imports later


def _forget_others(code: OwnCode, files: tuple[Path, ...]) -> None:
    """Forget modules of the same names that came from other files, for instance those of another study."""
    for file in files:
        parts = file.with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        other = getattr(sys.modules.get(name), "__file__", None)
        if other is not None and Path(other).resolve() != (code.root / file).resolve():
            del sys.modules[name]
