"""Hosts on one machine: network namespaces on a bridge, each with an address, links and processes of its own.

Needs root, iproute2 and util-linux. What a host does not have to itself is the disk, which stands for the storage that
a cluster shares, and the processors. Every host has its own `/tmp/ray`, as Ray takes that folder for the machine's.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

DASHBOARD, GCS = 8265, 6379
"""Ray's own ports: a namespace has all ports to itself."""

BIN = Path(sys.executable).parent
OBJECT_STORE = 100 * 2**20

Process = subprocess.Popen[bytes]


def why_not() -> str | None:
    """What is missing here to make hosts; None where nothing is."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    if shutil.which("ip") is None:
        return "making network namespaces needs iproute2"
    made = subprocess.run(
        ["ip", "netns", "add", name := f"try{secrets.token_hex(2)}"], capture_output=True, check=False
    )
    if made.returncode != 0:
        return f"no network namespace can be made here: {made.stderr.decode().strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return None


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not after {seconds:g} s"
        time.sleep(0.2)


@dataclass
class Host:
    """A network namespace with a process namespace, so that neither other hosts' ports nor their processes are seen.

    Args:
        name: of the network namespace, and of its cable's end on the bridge.
        address: its IPv4 address.
        folder: its own: `/tmp/ray` and the output of what runs on it.
    """

    name: str
    address: str
    folder: Path
    is_cut_off: bool = False
    _first: Process | None = None
    """The first process of its process namespace: all others end with it."""

    def start(self, *command: str, environment: Mapping[str, str], unseen: Path | None = None) -> Process:
        """Start a command on the host, for which the folder `unseen` is empty there."""
        self._switch_on()
        assert self._first is not None
        enter = ["nsenter", f"--net=/run/netns/{self.name}", *self._namespaces()]
        if unseen is not None:
            enter += ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none {unseen} && exec "$@"', "sh"]
        return self._begin([*enter, *command], environment)

    def _switch_on(self) -> None:
        """Have a first process, with a `/tmp/ray` of the host's own."""
        if self._first is not None:
            return
        (ray := self.folder / "ray").mkdir(exist_ok=True)
        (ready := self.folder / "ready").unlink(missing_ok=True)
        begin = f"mount --bind {ray} /tmp/ray && touch {ready} && exec sleep infinity"
        self._first = self._begin(["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", begin], {})
        wait_until(ready.exists, f"{self.name} is switched on", 30)

    def _namespaces(self) -> list[str]:
        assert self._first is not None
        (child,) = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text().split()
        return [f"--mount=/proc/{child}/ns/mnt", f"--pid=/proc/{child}/ns/pid"]

    def _begin(self, command: list[str], environment: Mapping[str, str]) -> Process:
        with open(self.folder / "output", "ab") as output:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**environment} or None,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def is_on(self) -> bool:
        return self._first is not None

    def cut_off(self) -> None:
        """Pull the cable: no packet comes or goes from now on, and nobody is told."""
        subprocess.run(["ip", "link", "set", self.name, "down"], check=True)
        self.is_cut_off = True

    def plug_in(self) -> None:
        """Put the cable back. Whatever ran meanwhile goes first: a cluster takes nobody back that it held for dead."""
        if self.is_cut_off:
            self.stop()
            subprocess.run(["ip", "link", "set", self.name, "up"], check=True)
            self.is_cut_off = False

    def stop(self) -> None:
        """End every process of the host at once, as a power cut does."""
        if self._first is not None:
            self._first.kill()  # and its child, the first of the namespace, with which the kernel ends all others
            self._first.wait()
            self._first = None
            wait_until(lambda: not self._processes(), f"the processes of {self.name} end", 30)
        shutil.rmtree(self.folder / "ray", ignore_errors=True)

    def _processes(self) -> str:
        return subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True).stdout

    def output(self) -> str:
        """What its commands said, for a failing test."""
        file = self.folder / "output"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


@contextmanager
def hosts_on_a_bridge(count: int, folder: Path) -> Iterator[tuple[str, list[Host]]]:
    """Hosts that reach each other and this machine.

    Yields:
        this machine's address on their bridge, and the hosts.
    """
    token = secrets.token_hex(2)
    network = f"10.{213 + secrets.randbelow(40)}.{secrets.randbelow(256)}"
    bridge, here = f"br{token}", f"{network}.254"
    Path("/tmp/ray").mkdir(exist_ok=True)  # what every host's own is mounted over
    with ExitStack() as undo:

        def ip(*words: str) -> None:
            subprocess.run(["ip", *words], check=True, capture_output=True)

        ip("link", "add", bridge, "type", "bridge")
        undo.callback(ip, "link", "del", bridge)
        ip("address", "add", f"{here}/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        hosts = []
        for number in range(1, count + 1):
            name, address = f"h{token}n{number}", f"{network}.{number}"
            host = Host(name, address, folder / f"host-{number}")
            host.folder.mkdir(parents=True)
            ip("netns", "add", name)
            undo.callback(ip, "netns", "del", name)
            undo.callback(host.stop)
            ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", name, "master", bridge, "up")
            for words in (
                ["link", "set", "lo", "up"],
                ["address", "add", f"{address}/24", "dev", "eth0"],
                ["link", "set", "eth0", "up"],
                ["route", "add", "default", "via", here],
            ):
                ip("-n", name, *words)
            hosts.append(host)
        yield here, hosts


@dataclass
class RayCluster:
    """Ray on hosts, the first of which is its head.

    Args:
        hosts: the head and the workers.
        environment: of the head's processes: what its container would be given. Drivers run there.
        token: what Ray asks its callers for.
        of_workers: the environment of the other hosts' processes. They have no login for MLflow or the database.
    """

    hosts: list[Host]
    environment: Mapping[str, str]
    token: str
    of_workers: Mapping[str, str]

    @property
    def url(self) -> str:
        """Of the job API."""
        return f"http://{self.hosts[0].address}:{DASHBOARD}"

    @property
    def gcs(self) -> str:
        """What a driver joins the cluster at."""
        return f"{self.hosts[0].address}:{GCS}"

    def mend(self) -> None:
        """Have Ray on every host; those that have it already are left as they are."""
        head, *workers = self.hosts
        was_cut_off = {host.address for host in self.hosts if host.is_cut_off}
        for host in self.hosts:
            host.plug_in()
        alive = self.alive() - was_cut_off
        if head.address not in alive:
            self.stop()
            alive = set()
            self.start_on(head)
        for host in workers:
            if host.address not in alive or not host.is_on:
                host.stop()
                # Ray notices late: its old node would be taken for the one that starts now.
                self.wait_until_missed(host)
                self.start_on(host)
        self.wait_for_all()

    def wait_until_missed(self, host: Host) -> None:
        wait_until(lambda: host.address not in self.alive(), f"{host.name}, which was stopped, is missed")

    def wait_for_all(self) -> None:
        try:
            wait_until(lambda: self.alive() == {host.address for host in self.hosts}, "every node in the cluster")
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *(host.output()[-2000:] for host in self.hosts)])) from None

    def start_on(self, host: Host, unseen: Path | None = None) -> None:
        """Start Ray on a host; `unseen` is a folder that is empty there, as if it were not mounted."""
        command = [str(BIN / "ray"), "start", "--block", f"--node-ip-address={host.address}", "--num-cpus=1"]
        command += [f"--object-store-memory={OBJECT_STORE}", "--disable-usage-stats", "--include-log-monitor=false"]
        if host is self.hosts[0]:
            command += ["--head", f"--port={GCS}", "--no-monitor"]
            command += [f"--dashboard-host={host.address}", f"--dashboard-port={DASHBOARD}"]
        else:
            wait_until(self._head_listens, "the head listens")
            command += [f"--address={self.gcs}"]
        environment = self.environment if host is self.hosts[0] else self.of_workers
        host.start(*command, environment=environment, unseen=unseen)

    def stop(self) -> None:
        for host in self.hosts:
            host.stop()

    def alive(self) -> set[str]:
        """Addresses of the nodes that Ray holds for alive."""
        found = self._get("/nodes?view=summary")
        if found is None:
            return set()
        nodes = found.json()["data"]["summary"]
        return {node["ip"] for node in nodes if node["raylet"].get("state") == "ALIVE"}

    def _head_listens(self) -> bool:
        try:
            socket.create_connection((self.hosts[0].address, GCS), timeout=5).close()
        except OSError:
            return False
        return True

    def _get(self, path: str) -> requests.Response | None:
        try:
            answer = requests.get(self.url + path, headers={"Authorization": f"Bearer {self.token}"}, timeout=5)
        except requests.RequestException:
            return None
        return answer if answer.ok else None
