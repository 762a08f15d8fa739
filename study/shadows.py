"""Whether a user's file hides one of our packages.

Works on names and folders. Our packages are called `study`, `models` and `search_spaces`. A file `models.py` beside a
script comes first on Python's path, and then every import of our `models` fails. Knows nothing of what is imported.
"""

import importlib.util
from pathlib import Path

from study.errors import UserError

PACKAGES = ("models", "search_spaces")
"""Our packages beside `study`, which is imported when this runs."""


def refuse_shadows() -> None:
    """Check that `import models` and `import search_spaces` find our packages.

    Raises:
        UserError: names the file that hides a package, and says what to do.
    """
    home = Path(__file__).resolve().parents[1]
    for package in PACKAGES:
        found = importlib.util.find_spec(package)
        places = [] if found is None else [found.origin, *(found.submodule_search_locations or ())]
        files = [Path(place).resolve() for place in places if place is not None]
        if files and not any(file.is_relative_to(home / package) for file in files):
            raise _shadowed(package, files[0])


def refuse_shadows_in(folder: Path) -> None:
    """Check that a folder which will come first on the path of Ray's workers holds none of our names.

    Raises:
        UserError: as `refuse_shadows`.
    """
    home = Path(__file__).resolve().parents[1]
    if folder.resolve() == home:
        return
    for package in ("study", *PACKAGES):
        for file in (folder / f"{package}.py", folder / package / "__init__.py"):
            if file.exists():
                raise _shadowed(package, file)


def _shadowed(package: str, file: Path) -> UserError:
    return UserError(
        f"{file} hides the package `{package}` of noisy-teacher-study: rename that file or folder, or start Python in "
        "another folder"
    )
