"""Studies of how much noise in a teacher's logits gives a small student the lowest test error.

For notebooks: `from study import run, resume, extend, table, compare, load_study`. Importing the package loads no
library; each function loads what it needs when it is first used. The import sets how the threads of OpenMP wait, if
nothing else did.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.api import Study, compare, extend, load_study, resume, run, table

# An OpenMP thread that waits for another thread goes to sleep soon, so that other programs can use the processor. A
# teacher with two threads beside two busy programs is then 15 times as fast (docs/performance.md). On a quiet machine
# most waits are shorter than 50 microseconds, which is about what the spin count takes; a thread that slept would lose
# time there. Only GNU's OpenMP reads the count. OpenMP reads both variables when PyTorch is loaded, in every command
# and in Ray's workers. Python imports this file before any other module of the package, so the setting is always in
# time.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__all__ = ["Study", "compare", "extend", "load_study", "resume", "run", "table"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from study.shadows import refuse_shadows

    refuse_shadows()
    from study import api

    return getattr(api, name)
