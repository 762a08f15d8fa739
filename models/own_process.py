"""Code of the user is tried in a process of its own, with a time limit, because it may hang or end its process.

Works on the name of a function of this project, and on a task and an answer that JSON can hold. Knows nothing of what
is tried.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import own_code

SECONDS = 60
"""How long code of the user may take, in seconds. The import of PyTorch is not counted."""

_SECONDS_TO_START = 600


def asked(function: str, task: Mapping[str, Any], reference: str, doing: str) -> dict[str, Any]:
    """The answer of a function to a task, from a process of its own.

    Args:
        function: `module:function` of this project. It takes the task and returns the answer, or `error` and one line.
        task: its argument.
        reference: to the code of the user, for messages.
        doing: what the code does, for messages: `to be created`.

    Returns:
        the answer; `error` and one line if the code hangs or ends the process.
    """
    copies, home = own_code.copies(), str(Path(__file__).parents[1])
    order = {
        "function": function,
        "task": task,
        "copies": None if copies is None else str(copies),
        "seconds": SECONDS,
    }
    program = f"import sys; sys.path.insert(0, {home!r}); from models.own_process import main; main()"
    try:
        # -P keeps the working folder off the path, where a `models.py` of the user would hide our package.
        ran = subprocess.run(
            [sys.executable, "-P", "-c", program],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            timeout=SECONDS + _SECONDS_TO_START,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"{reference} did not end within {SECONDS + _SECONDS_TO_START} s"}
    if ran.returncode == -signal.SIGALRM:
        return {"error": f"{reference} takes more than {SECONDS} s {doing}; does it hang?"}
    try:
        answer: dict[str, Any] = json.loads(ran.stdout)
    except ValueError:
        ended = f"signal {-ran.returncode}" if ran.returncode < 0 else f"status {ran.returncode}"
        return {"error": f"the process that tried {reference} ended with {ended}"}
    return answer


def main() -> None:
    """The process that tries code: the order is read from standard input, and the answer is printed, both as JSON."""
    order = json.load(sys.stdin)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the code of the user reads nothing
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the code of the user prints is not the answer
    import torch  # noqa: F401 - before the time is taken

    module, _, name = order["function"].partition(":")
    function = getattr(importlib.import_module(module), name)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(order["seconds"])
    own_code.use_copies(None if order["copies"] is None else Path(order["copies"]))
    with answers:
        json.dump(function(order["task"]), answers)
