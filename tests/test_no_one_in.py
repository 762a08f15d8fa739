"""A whole study, watched from outside: what it listens on, whom it calls, and whom it tells its passwords.

It is tracked on the UI's own server with a login, and has its journal in PostgreSQL with a password. Where the kernel
lets us, all of it runs in a network namespace that has no network but the machine itself.
"""

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from support.postgresql import running_postgresql
from support.processes import Socket, arguments, is_here, sockets, tree

pytestmark = pytest.mark.faults

NOISY_STUDY = str(Path(sys.executable).with_name("noisy-study"))
TINY = [
    *("--set", "teachers=[{network: FC10, train: {epochs: 1}}]", "--set", "train.epochs=1", "--set", "search="),
    *("--set", "arms.0.sigma=0.5", "--set", "seeds=[0]", "--name", "watched"),
]
PORT = 5000
"""In a namespace of its own every port is free."""

_LOOPBACK_UP = """
import fcntl, socket, struct, sys, time
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x1))  # SIOCSIFFLAGS, IFF_UP
print("up", flush=True)
sys.stdin.read()
"""


@contextmanager
def no_network() -> Iterator[list[str]]:
    """What to put before a command to have it run where there is no network; skips where the kernel forbids it."""
    holder = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", _LOOPBACK_UP],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != "up\n":
            pytest.skip("no right to make a network namespace here")
        yield ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
    finally:
        holder.kill()
        holder.communicate()


class Watch:
    """Looks at a process and its descendants until it is told to stop.

    Attributes:
        arguments: all that they were called with.
        sockets: all that they listened on or were connected to.
        told: files in folders for what passes, and the secret that stood in them.
    """

    def __init__(self, pid: int, passing: list[Path], secret_words: list[str]) -> None:
        self.arguments: set[str] = set()
        self.sockets: set[Socket] = set()
        self.told: set[tuple[str, str]] = set()
        self._pid, self._passing, self._secrets = pid, passing, secret_words
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._look()
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            self._look()

    def _look(self) -> None:
        for pid in tree(self._pid):
            self.arguments.add(arguments(pid))
            self.sockets.update(sockets(pid))
        for folder in self._passing:
            self.told |= found_in(folder, self._secrets)


def found_in(folder: Path, words: list[str]) -> set[tuple[str, str]]:
    """Which of these words stand in which files below a folder, in a file's name or in its content."""
    found = set()
    for path in folder.rglob("*"):
        content = b""
        with suppress(OSError):
            content = path.read_bytes() if path.is_file() else b""
        found |= {(str(path), word) for word in words if word in path.name or word.encode() in content}
    return found


class Watched:
    """A study that was run from one command, and all that could be seen of it."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.folder, self.inside = folder, stack.enter_context(no_network())
        self.password, self.journal_password, self.admin_password = (secrets.token_hex(12) for _ in range(3))
        self.secrets = [self.password, self.journal_password, self.admin_password]
        self.secrets.append(base64.b64encode(f"study:{self.password}".encode()).decode())
        journal = stack.enter_context(running_postgresql()).new_database_with_login("keeper", self.journal_password)
        short = Path(tempfile.mkdtemp(prefix="watched-", dir="/tmp"))  # Ray's sockets have no room for pytest's folder
        stack.callback(shutil.rmtree, short, ignore_errors=True)
        (folder / "passing").mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_A", "MLFLOW_"))},
            "MLFLOW_TRACKING_URI": f"http://study:{self.password}@127.0.0.1:{PORT}",
            "OPTUNA_STORAGE": journal,
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",  # the machine may be busy with other tests
            "RAY_TMPDIR": str(short),
            "TMPDIR": str(folder / "passing"),
            "HOME": str(folder / "home"),
            "COLUMNS": "200",
        }
        self._serve(stack)
        process = subprocess.Popen(
            [*self.inside, NOISY_STUDY, "run", "quickstart-search", *TINY, "--verbose"],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.study = Watch(process.pid, [short, folder / "passing"], self.secrets)
        self.out, self.err = process.communicate(timeout=500)
        self.study.end()
        assert process.returncode == 0, self.err

    def _serve(self, stack: ExitStack) -> None:
        environment = {
            **self.environment,
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'server.db'}",
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.admin_password,
            "NOISY_STUDY_USER_PASSWORD": self.password,
        }
        log = stack.enter_context((self.folder / "server.log").open("wb"))
        served = subprocess.Popen(
            [*self.inside, NOISY_STUDY, "ui", "--host", "0.0.0.0", "--port", str(PORT), "--auth"],
            cwd=self.folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
        stack.callback(served.wait)
        stack.callback(self._terminate, served.pid)
        self.server = Watch(served.pid, [], self.secrets)
        deadline = time.monotonic() + 400
        while self.asks("/health")[0] != 200:
            assert served.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
            time.sleep(0.5)
        self.server.end()

    @staticmethod
    def _terminate(pid: int) -> None:
        for each in reversed(tree(pid)):
            with suppress(ProcessLookupError):
                os.kill(each, 15)

    def asks(self, path: str, login: str | None = None) -> tuple[int, str]:
        """Status and content of an answer of the server; 0 where there is none."""
        ran = subprocess.run(
            [*self.inside, sys.executable, "-c", _ASK, f"http://127.0.0.1:{PORT}{path}"],
            input=login or "",
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        status, _, content = ran.stdout.partition("\n")
        return int(status), content


_ASK = """
import base64, sys, urllib.error, urllib.request
request, login = urllib.request.Request(sys.argv[1]), sys.stdin.read()
if login:
    request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
try:
    with urllib.request.urlopen(request, timeout=5) as answer:
        print(answer.status, answer.read().decode(), sep="\\n")
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print(0)
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with ExitStack() as stack:
        yield Watched(stack, tmp_path_factory.mktemp("watched"))


def test_a_study_needs_no_network(watched: Watched) -> None:
    assert "noisy teacher" in watched.out  # its table, made where there is none


def test_a_study_listens_on_this_machine_alone(watched: Watched) -> None:
    listening = {socket for socket in watched.study.sockets if socket.listens}
    assert any("raylet" in socket.process for socket in listening)
    assert not {socket for socket in listening if not is_here(socket.address)}


def test_a_study_calls_nobody_but_whom_it_was_told_to(watched: Watched) -> None:
    called = {socket for socket in watched.study.sockets if not socket.listens}
    assert called
    assert not {socket for socket in called if not is_here(socket.address)}


def test_no_password_stands_among_the_arguments_of_a_process(watched: Watched) -> None:
    seen = watched.study.arguments | watched.server.arguments
    assert any("raylet" in each for each in seen)
    assert any("mlflow" in each for each in seen)
    assert not [each for each in seen for word in watched.secrets if word in each]


def test_no_password_is_printed(watched: Watched) -> None:
    assert not [word for word in watched.secrets if word in watched.out + watched.err]


def test_no_password_is_written_to_a_file(watched: Watched) -> None:
    assert not watched.study.told
    assert not found_in(watched.folder, watched.secrets)
    assert list(watched.folder.rglob("start.json"))


def test_no_password_is_tracked(watched: Watched) -> None:
    login = f"study:{watched.password}"
    experiment = json.loads(watched.asks("/api/2.0/mlflow/experiments/get-by-name?experiment_name=watched", login)[1])
    assert experiment["experiment"]["name"] == "watched"
    assert not [word for word in watched.secrets if word in json.dumps(experiment)]
    # Runs, their parameters and tags lie in the server's store, which is one of the files above.
    assert (watched.folder / "server.db").stat().st_size > 0


def test_a_wrong_password_is_refused_and_not_repeated(watched: Watched) -> None:
    for name, value in {
        "MLFLOW_TRACKING_URI": f"http://study:{watched.journal_password}@127.0.0.1:{PORT}",
        "OPTUNA_STORAGE": watched.environment["OPTUNA_STORAGE"].replace(watched.journal_password, watched.password),
    }.items():
        ran = subprocess.run(
            [*watched.inside, NOISY_STUDY, "run", "quickstart-search", *TINY, "--name", "another"],
            cwd=watched.folder,
            env={**watched.environment, name: value},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 2, ran.stderr
        assert ran.stderr.count("\n") == 1, ran.stderr
        assert not [word for word in watched.secrets if word in ran.stdout + ran.stderr]


def test_the_server_asks_for_user_and_password(watched: Watched) -> None:
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert watched.asks("/health") == (200, "OK\n")
    assert watched.asks(path)[0] == 401
    assert watched.asks(path, f"study:{watched.journal_password}")[0] == 401
    assert watched.asks(path, f"study:{watched.password}")[0] == 200


def test_a_study_needs_no_administrator(watched: Watched) -> None:
    """The study ran as a user who can administer nothing, and cannot even see another user."""
    path = "/api/2.0/mlflow/users/get?username=admin"
    assert watched.asks(path, f"study:{watched.password}")[0] == 403
    assert watched.asks(path, f"admin:{watched.admin_password}")[0] == 200


def test_the_server_listens_where_it_was_told_to(watched: Watched) -> None:
    assert [str(socket.address) for socket in watched.server.sockets if socket.listens and not is_here(socket.address)]


def test_what_the_server_writes_is_its_owners_alone(watched: Watched) -> None:
    assert (watched.folder / "basic_auth.db").stat().st_mode & 0o077 == 0
