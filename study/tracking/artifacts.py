"""Where MLflow keeps the artifacts of a study, and whether that still belongs to the store.

Works on addresses and paths. MLflow writes an absolute folder into a SQLite store when an experiment is made. After the
store was copied or moved, that folder is still the original's.
"""

from pathlib import Path
from urllib.parse import unquote

from study.tracking.address import sqlite_file


def misplaced(uri: str, location: str) -> str | None:
    """Why artifacts must not be written to a location, in one line; None where they may.

    Args:
        uri: of the tracking server. Only a SQLite file that has no server can be copied with a study.
        location: of the experiment's or a run's artifacts, as MLflow has it.
    """
    store, folder = sqlite_file(uri), unquote(location.removeprefix("file://"))
    if store is None or not folder.startswith("/"):
        return None
    here = store.resolve()
    # MLflow's default is `mlruns/EXPERIMENT` of the folder that the process worked in when the store was made.
    root = next((parent for parent in Path(folder).parents if parent.name == "mlruns"), None)
    if root is None or root.resolve().parent == here.parent:
        return None
    other = root.parent / here.name
    copied = other.exists() and other.resolve() != here
    moved = not root.exists() and (here.parent / root.name).exists()
    if not copied and not moved:
        return None
    return (
        f"the store {here} was {'copied' if copied else 'moved'} from {root.parent}, and MLflow would write the "
        f"artifacts to {folder}"
    )
