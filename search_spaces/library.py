"""The recipes that come with the package: study files, one for each table and figure of the sources, and others.

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
    """The text of a recipe with its comments.

    Raises:
        UserError: there is no recipe of that name. The message names the most similar one.
    """
    known = recipe_names()
    if name not in known:
        raise UserError(f"no recipe named {name}{nearest(name, known)} (and no file of that name)")
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
