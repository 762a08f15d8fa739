"""What happens to a study, drawn from a seed before it starts.

Works on numbers. Knows nothing of processes: `support.machine` carries a plan out. A step that cannot happen when its
turn comes (no worker runs, the study has ended by itself) is skipped there, so a plan depends on its seed alone.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

START, KILL_DRIVER, KILL_WORKER = "start or resume", "kill the driver", "kill a worker"
STOP_SERVER, START_SERVER, RESTORE = "stop the tracking server", "start the tracking server", "restore its backup"
LOSE_OUTBOX, SYNC = "lose the outbox", "sync"
KILL_ALL, KILL_RAYLET, KILL_GCS = "kill the driver and all of Ray", "kill Ray's raylet", "kill Ray's gcs_server"
CTRL_C, SIGTERM = "Ctrl-C", "SIGTERM"
HANG_SERVER, WAKE_SERVER = "the tracking server hangs", "the tracking server wakes up"
FILL_DISK, DAMAGE_CHECKPOINT = "fill the disk", "damage a checkpoint"
"""The last one kills the driver and all of Ray before, in the midst of a trial."""

DRAWN = (START, KILL_DRIVER, KILL_WORKER, STOP_SERVER, START_SERVER, RESTORE, LOSE_OUTBOX, SYNC)
"""The operations that interleavings are made of."""

STARTS = 3
"""Starts of the driver in one interleaving; one more follows at its end."""

MOST_FILES = 9
"""A step waits until up to so many more files of trials are there; a trial of the small study has about two."""


@dataclass(frozen=True)
class Step:
    """One operation and its moment.

    Attributes:
        operation: one of the names above.
        files: so many more files of trials are waited for, while the driver runs.
        delay: seconds after that, from 0 to 1.
        choice: which worker, backup or file, as a share from 0 to below 1.
    """

    operation: str
    files: int
    delay: float
    choice: float


@dataclass(frozen=True)
class Plan:
    """The steps of one study.

    Attributes:
        kind: `interleaving`, or the fault that is injected again and again.
        seed: what it was drawn from.
    """

    kind: str
    seed: int
    steps: tuple[Step, ...]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def read_plan(document: dict[str, Any]) -> Plan:
    """What `Plan.document` made."""
    return Plan(document["kind"], document["seed"], tuple(Step(**step) for step in document["steps"]))


def interleaving(seed: int) -> Plan:
    """Four to eight operations at random moments after the first start."""
    chance = random.Random(f"interleaving {seed}")
    running, server_up, starts = True, True, 1
    steps = [_at(chance, START)]
    for _ in range(chance.randint(4, 8)):
        possible = [RESTORE, STOP_SERVER if server_up else START_SERVER]
        if running:
            possible += [KILL_DRIVER, KILL_DRIVER, KILL_WORKER]
        else:
            possible += [LOSE_OUTBOX, SYNC, *([START, START] if starts < STARTS else [])]
        operation = chance.choice(possible)
        running = operation == START or (running and operation != KILL_DRIVER)
        server_up = operation == START_SERVER or (server_up and operation != STOP_SERVER)
        starts += operation == START
        steps.append(_at(chance, operation))
    return Plan("interleaving", seed, tuple(steps))


KILLS: dict[str, tuple[str, ...]] = {
    "`kill -9` of the driver": (KILL_DRIVER, START),
    "`kill -9` of the driver and all of Ray": (KILL_ALL, START),
    "`kill -9` of Ray's raylet alone": (KILL_RAYLET, START),
    "`kill -9` of Ray's gcs_server alone": (KILL_GCS, START),
    "`kill -9` of a worker": (KILL_WORKER,),
    "Ctrl-C": (CTRL_C, START),
    "SIGTERM": (SIGTERM, START),
    "the tracking server is killed and started again": (STOP_SERVER, START_SERVER),
    "the tracking server hangs and wakes up": (HANG_SERVER, WAKE_SERVER),
    "the tracking server goes back to a backup": (RESTORE,),
    "the driver is killed and its outbox lost": (KILL_DRIVER, LOSE_OUTBOX, START),
    "disk full: something else filled it": (FILL_DISK, START),
    "a damaged checkpoint": (DAMAGE_CHECKPOINT, START),
}
"""Each fault of docs/reliability.md that can happen at any moment: what it does and what a user does after it."""


def kills(kind: str, seed: int, times: int) -> Plan:
    """A start, and a fault of `KILLS` so many times at random moments."""
    chance = random.Random(f"{kind} {seed}")
    names: Sequence[str] = (START, *(KILLS[kind] * times))
    return Plan(kind, seed, tuple(_at(chance, name) for name in names))


def injections(kind: str) -> str:
    """The operation of a fault of `KILLS` that counts as one injection."""
    return LOSE_OUTBOX if kind == "the driver is killed and its outbox lost" else KILLS[kind][0]


def _at(chance: random.Random, operation: str) -> Step:
    # A third of the moments comes at once: two faults at nearly the same time are the hard case.
    files = chance.randint(0, MOST_FILES) if chance.random() < 2 / 3 else 0
    delay, choice = round(chance.random(), 3), round(chance.random(), 3)
    return Step(operation, files, delay, min(choice, 0.999))  # 1 would choose one past the last
