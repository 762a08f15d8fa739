"""The recipes that come with the package: study files, one per table and figure.

Works on names and text. Knows nothing of the content of a study file.
"""

from importlib.resources import files

from study.config import nearest
from study.errors import UserError

_FOLDER = files("search_spaces") / "recipes"


def recipe_names() -> list[str]:
    """All recipes, sorted."""
    return sorted(file.name.removesuffix(".yaml") for file in _FOLDER.iterdir() if file.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """A recipe as it was written, comments included.

    Raises:
        UserError: there is none of that name; names the nearest.
    """
    known = recipe_names()
    if name not in known:
        raise UserError(f"no recipe named {name}{nearest(name, known)} (and no file of that name)")
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
