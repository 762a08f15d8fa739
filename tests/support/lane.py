"""Carries out plans one after another, in one warmed-up process.

Works on lines of JSON: a plan comes in, and what happened goes out at once. Several lanes run side by side.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from support import machine, warm
from support.plans import Plan, read_plan

ROOT = Path(__file__).parents[2]

_PROGRAM = f"import sys; sys.path += [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]; from support.lane import main; main()"


def carried_out(plans: Iterable[Plan], folder: Path) -> Iterator[dict[str, Any]]:
    """Each study's `Happened`, as soon as it ended; in a process of its own.

    Args:
        folder: for the studies; those that did not end as they should stay there.

    Raises:
        subprocess.CalledProcessError: the lane itself failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = folder / "plans.jsonl"
    given.write_text("".join(json.dumps(plan.document()) + "\n" for plan in plans), encoding="utf-8")
    with open(given, encoding="utf-8") as lines, open(folder / "lane-stderr", "w", encoding="utf-8") as said:
        lane = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(folder)],
            # Ray's own processes would inherit PYTHONPATH, and find the folders of tests beside their packages.
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            stdin=lines,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        assert lane.stdout is not None
        with lane:
            for line in lane.stdout:
                yield json.loads(line)
    if lane.returncode:
        raise subprocess.CalledProcessError(
            lane.returncode, "support.lane", stderr=(folder / "lane-stderr").read_text()
        )


def main() -> None:
    """Read plans, write what happened."""
    folder = Path(sys.argv[1]).resolve()
    plans = [read_plan(json.loads(line)) for line in sys.stdin]
    # Children inherit standard output. What they print must not come between the lines of JSON.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warm.warm_up()
    store = folder / "empty.db"
    warm.in_child(lambda: _set_up(store))
    right = machine.undisturbed(folder / "undisturbed")
    for number, plan in enumerate(plans):
        happened = machine.carry_out(plan, folder / f"{number:04d}", store, right)
        out.write(json.dumps(machine.document(happened)) + "\n")
        out.flush()


def _set_up(store: Path) -> None:
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{store}").search_experiments()
