"""A plugin of the tests: a process that has imported what `noisy-study` needs, and forks for each command of a study.

Works on lines of JSON between a test process and the server. Imports are most of a command's start, and the tests of
faults start some two hundred commands. A test process has threads of its own, so it cannot fork itself. The command
runs the same code in a process and session of its own. Only the imports are shared.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from support import disturbed, warm

ROOT = Path(__file__).parents[2]

_PROGRAM = (
    f"import sys; sys.path += [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]; from support.fork_server import serve; serve()"
)


class Forking:
    """The server, seen from a test process. It starts with the first command, and ends with `close`."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None

    def command(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], out: IO[str], err: IO[str]
    ) -> "Command":
        """`noisy-study` with these words; a `support.disturbed.Launch`."""
        names = {"words": list(words), "folder": str(folder), "environment": dict(environment)}
        return Command(self, int(self.ask({**names, "out": out.name, "err": err.name})))

    def ask(self, request: Mapping[str, Any]) -> Any:
        """One request, and its answer."""
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM],
                # Ray's own processes would inherit PYTHONPATH, and find the folders of tests beside their packages.
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C in the terminal of the tests is not for it
            )
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        if self._server is not None:
            self._server.communicate()


@pytest.fixture(scope="session", autouse=True)
def forking() -> Iterator[None]:
    """The commands of studies are forks of one process; it starts with the first one."""
    server = Forking()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disturbed, "launched", server.command)
        yield
    server.close()


class Command(warm.Forked):
    """A command that the server forked for. The server is its parent, so the server is asked for its exit status."""

    def __init__(self, server: Forking, pid: int) -> None:
        super().__init__(pid)
        self._server = server

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        if self._status is None:
            self._status = self._server.ask({"poll": self.pid})
        return self._status


def serve() -> None:
    """Fork for each command, until standard input ends."""
    # Children inherit standard output. What they print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warm.warm_up()
    commands: dict[int, warm.Forked] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            answer = commands[request["poll"]].poll()
        else:
            with open(request["out"], "a") as out, open(request["err"], "a") as err:
                command = warm.command(request["words"], Path(request["folder"]), request["environment"], out, err)
            commands[command.pid], answer = command, command.pid
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
