"""Carries out plans in lanes side by side, and keeps a line of JSON of each at once.

Works on plans and a file of lines. A plan whose line is there already is not carried out again, so a soak that was
stopped continues. Knows nothing of what plans do: `tests/support` does, so these commands need `PYTHONPATH=tests`.
"""

import json
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.lane import carried_out
from support.plans import Plan

from benchmarks.page import ROOT

LOST_TOGETHER = 20
"""So many plans a lane gets at once: a lane that breaks loses no more than these."""


def happened(file: Path) -> list[dict[str, Any]]:
    """The lines that are there; one that a kill cut off is left out."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def carry_out(plans: Sequence[Plan], lanes: int, file: Path) -> list[dict[str, Any]]:
    """Carry out those plans that have no line in the file yet.

    Args:
        plans: each with a kind and seed of its own.
        lanes: how many studies run at the same time.
        file: where the lines go.

    Returns:
        all lines of these plans.
    """
    there = happened(file)
    if there:  # without a line that was cut off
        file.write_text("".join(json.dumps(line) + "\n" for line in there), encoding="utf-8")
    known = {(line["kind"], line["seed"]) for line in there}
    waiting = [plan for plan in plans if (plan.kind, plan.seed) not in known]
    lock, commit = threading.Lock(), _commit()

    def lane(number: int) -> None:
        while True:
            with lock:
                mine = [waiting.pop(0) for _ in range(min(LOST_TOGETHER, -(-len(waiting) // lanes)))]
            if not mine:
                return
            folder = Path(tempfile.mkdtemp(prefix=f"lane-{number}-"))
            try:
                for line in carried_out(mine, folder):
                    with lock, open(file, "a", encoding="utf-8") as lines:
                        lines.write(json.dumps({"commit": commit, **line}) + "\n")
                        print(_short(line), f"({folder})" if line["verdict"] != "same" else "", flush=True)
            except subprocess.CalledProcessError as error:
                print(f"a lane broke: {str(error.stderr)[-2000:]}", flush=True)

    threads = [threading.Thread(target=lane, args=(number,)) for number in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = {(plan.kind, plan.seed) for plan in plans}
    return [line for line in happened(file) if (line["kind"], line["seed"]) in wanted]


def _short(line: dict[str, Any]) -> str:
    return f"{line['kind']}, seed {line['seed']}: {line['verdict']} after {line['seconds']} s {line['reason'][:300]}"


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
