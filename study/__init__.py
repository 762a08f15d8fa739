"""A service that searches how much noise a teacher should carry so that a small student errs least.

For notebooks: `from study import run, resume, table, load_study`. Importing the package loads nothing; each function
loads what it needs when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.api import Study, load_study, resume, run, table

__all__ = ["Study", "load_study", "resume", "run", "table"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from study.shadows import refuse_shadows

    refuse_shadows()
    from study import api

    return getattr(api, name)
