"""Starts the services of compose.yaml without an engine, and asks each for its health as the file says.

Works on the resolved compose file and on buildah, whose `run` starts a command in an image. Every service is a host of
its own: a network namespace with an address, on a bridge in a namespace of its own, so that nothing of this machine's
network is touched. Knows of compose what compose.yaml uses. Needs root, iproute2, nsenter and the two images.

    python docker/smoke/services.py RESOLVED_COMPOSE_FILE [--scale SERVICE=N]
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HEALTHY_WITHIN_SECONDS = 300.0
STARTS_AT_MOST = 3
ENDS_WITHIN_SECONDS = 1500.0
SUBNET = "10.231.0"


class Failed(Exception):
    """A service did not come up, or ended as it should not."""


@dataclass
class Service:
    """One service of the file; one host.

    Args:
        name: of the service, with a number where there are several.
        settings: what the file says.
        address: of its host.
        log: where its output goes.
    """

    name: str
    settings: dict[str, Any]
    address: str
    log: Path
    container: str = ""
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def namespace(self) -> str:
        return f"smoke-{os.getpid()}-{self.name}"

    @property
    def is_one_shot(self) -> bool:
        return bool(self.settings.get("healthcheck", {}).get("disable"))

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])


@dataclass
class Stack:
    """The services of one file while they run.

    Args:
        folder: for volumes and logs.
        root: the folder of compose.yaml, where its relative paths begin.
    """

    folder: Path
    root: Path
    services: list[Service] = field(default_factory=list)

    @property
    def _switch(self) -> str:
        return f"smoke-{os.getpid()}"

    def lay_out(self, settings: dict[str, Any], scale: dict[str, int]) -> None:
        """Give every service a host, in the order in which they may start."""
        ordered: list[str] = []
        while len(ordered) < len(settings):
            ready = [
                n for n, s in settings.items() if n not in ordered and set(s.get("depends_on", {})) <= set(ordered)
            ]
            ordered += ready
        for name in ordered:
            count = scale.get(name, 1)
            for number in range(1, count + 1):
                host = name if count == 1 else f"{name}-{number}"
                address = f"{SUBNET}.{len(self.services) + 2}"
                log = self.folder / f"{host}.log"
                self.services.append(Service(host, settings[name], address, log))
        # A name of several hosts is nobody's here; nothing in compose.yaml calls a worker.
        hosts = ["127.0.0.1 localhost", *(f"{service.address} {service.name}" for service in self.services)]
        (self.folder / "hosts").write_text("\n".join(hosts) + "\n")
        _call("ip", "netns", "add", self._switch)
        _call("ip", "-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _call("ip", "-n", self._switch, "address", "add", f"{SUBNET}.1/24", "dev", "bridge")
        _call("ip", "-n", self._switch, "link", "set", "bridge", "up")
        for number, service in enumerate(self.services):
            _call("ip", "netns", "add", service.namespace)
            port = ["link", "add", "eth0", "netns", service.namespace, "type", "veth", "peer", "name", f"port{number}"]
            _call("ip", "-n", self._switch, *port)
            _call("ip", "-n", self._switch, "link", "set", f"port{number}", "master", "bridge", "up")
            _call("ip", "-n", service.namespace, "address", "add", f"{service.address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _call("ip", "-n", service.namespace, "link", "set", device, "up")
            # It leads nowhere; but Ray takes a host's address from the way out of it.
            _call("ip", "-n", service.namespace, "route", "add", "default", "via", f"{SUBNET}.1")

    def start(self, service: Service) -> None:
        """Start a service's command line."""
        service.container = _from(service.settings["image"])
        self._launch(service)

    def _launch(self, service: Service) -> None:
        service.starts += 1
        command = [*self._entrypoint(service), *service.settings["command"]]
        with service.log.open("wb") as log:
            service.process = subprocess.Popen(
                self._run(service, command), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_healthy(self, service: Service) -> float:
        """Ask for a service's health until it has it.

        Returns:
            seconds it took.

        Raises:
            Failed: it ended, or had none in time.
        """
        kind, *test = service.settings["healthcheck"]["test"]
        assert kind == "CMD", f"{service.name}: a health check of kind {kind}"
        begin = time.monotonic()
        while time.monotonic() - begin < HEALTHY_WITHIN_SECONDS:
            self._keep_up()
            if subprocess.run(self._run(service, test), capture_output=True, check=False).returncode == 0:
                return time.monotonic() - begin
            time.sleep(1)
        raise Failed(f"{service.name} has no health after {HEALTHY_WITHIN_SECONDS:.0f} s:\n{service.tail()}")

    def _keep_up(self) -> None:
        """Restart services that ended, as a container engine does, a few times.

        Raises:
            Failed: a service ended too often, or its settings do not restart it.
        """
        for service in self.services:
            if service.is_one_shot or service.process is None or service.process.poll() is None:
                continue
            ended = f"{service.name} ended with status {service.process.returncode}"
            if service.starts >= STARTS_AT_MOST or service.settings.get("restart") != "unless-stopped":
                raise Failed(f"{ended}:\n{service.tail()}")
            _say(f"    {ended} and starts again")
            self._launch(service)

    def wait_end(self, service: Service) -> None:
        """Wait for a service that ends by itself.

        Raises:
            Failed: with another status than 0, or not in time.
        """
        assert service.process is not None
        try:
            status = service.process.wait(ENDS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"{service.name} still runs after {ENDS_WITHIN_SECONDS:.0f} s:\n{service.tail()}") from None
        if status != 0:
            raise Failed(f"{service.name} ended with status {status}:\n{service.tail()}")

    def run(self, service: Service, *command: str) -> subprocess.CompletedProcess[str]:
        """Run something else on a service's host."""
        return subprocess.run(self._run(service, command), capture_output=True, text=True, check=False)

    def end(self) -> None:
        """Leave nothing behind."""
        for service in reversed(self.services):
            for number in (signal.SIGTERM, signal.SIGKILL):
                deadline = time.monotonic() + 10
                while (pids := _pids(service.namespace)) and time.monotonic() < deadline:
                    for pid in pids:
                        with suppress(ProcessLookupError):
                            os.kill(pid, number)
                    time.sleep(0.5)
            if service.process is not None:
                service.process.wait()
            if service.container:
                _call("buildah", "rm", service.container)
        for namespace in (*(service.namespace for service in self.services), self._switch):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)

    def _run(self, service: Service, command: Sequence[str]) -> list[str]:
        line = ["nsenter", f"--net=/run/netns/{service.namespace}", "buildah", "run", "--isolation", "chroot"]
        for capability in service.settings.get("cap_drop", []):
            line += ["--cap-drop", f"CAP_{capability}"] if capability != "ALL" else ["--cap-drop", "all"]
        for name, value in service.settings.get("environment", {}).items():
            line += ["--env", f"{name}={value}"]
        line += ["--no-hosts", "--volume", f"{self.folder / 'hosts'}:/etc/hosts:ro"]
        for volume in service.settings.get("volumes", []):
            source, target, *options = volume.split(":")
            line += ["--volume", ":".join([str(self._source(service, source, target)), target, *options])]
        return [*line, service.container, "--", *command]

    def _source(self, service: Service, source: str, target: str) -> Path:
        """A path beside compose.yaml; or a volume, which belongs at first to whom the image's folder belongs to."""
        if source.startswith((".", "/")):
            return (self.root / source).resolve()
        folder = self.folder / "volumes" / source
        if not folder.exists():
            owner = _call("buildah", "run", service.container, "--", "stat", "--format=%u %g", target)
            folder.mkdir(parents=True)
            os.chown(folder, *map(int, owner.split()))
        return folder

    def _entrypoint(self, service: Service) -> list[str]:
        format = "{{range .OCIv1.Config.Entrypoint}}{{.}} {{end}}"
        return _call("buildah", "inspect", "--type", "image", "--format", format, service.settings["image"]).split()


@contextmanager
def _stack(root: Path) -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="smoke-services-"))
    folder.chmod(0o755)  # other users live in it
    stack = Stack(folder, root)
    try:
        yield stack
    finally:
        stack.end()
        shutil.rmtree(folder)


def _from(image: str) -> str:
    """A container of an image. Where an engine's name server would say at once that there is no more to a name than
    /etc/hosts has, nothing listens, which is as quick."""
    return _call("buildah", "from", "--pull-never", "--dns", "127.0.0.1", image)


def _call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _pids(namespace: str) -> list[int]:
    listed = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - its output is what it is for


def _up(stack: Stack, settings: dict[str, Any], scale: dict[str, int]) -> None:
    stack.lay_out(settings, scale)
    one_shots = [service for service in stack.services if service.is_one_shot]
    for service in stack.services:
        if service.is_one_shot:
            continue
        stack.start(service)
        _say(f"{service.name}: {' '.join(service.settings['command'])}")
        _say(f"    healthy after {stack.wait_healthy(service):.0f} s")
    for service in one_shots:
        _say(f"{service.name}: {' '.join(service.settings['command'])}")
        stack.start(service)
        stack.wait_end(service)
        _say("\n".join(f"    {line}".rstrip() for line in service.log.read_text(errors="replace").splitlines()))
    asked = stack.services[-1]
    if not asked.container:
        asked.container = _from(asked.settings["image"])
    for url in ("http://mlflow:5000/api/2.0/mlflow/experiments/search?max_results=1", "http://ray-head:8265/api/jobs/"):
        answer = stack.run(asked, "env", "--ignore-environment", "wget", "--server-response", "--tries=1", "-O-", url)
        refused = "401 " in answer.stderr
        _say(f"without password or token, {url.partition('?')[0]}: {'refused (401)' if refused else 'ANSWERS'}")
        if not refused:
            raise Failed(answer.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("file", type=Path, help="compose.yaml as `podman-compose config` prints it")
    parser.add_argument("--scale", action="append", default=[], metavar="SERVICE=N")
    options = parser.parse_args()
    services = yaml.safe_load(options.file.read_text())["services"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and leave nothing behind
    scale = {name: int(number) for name, number in (each.split("=") for each in options.scale)}
    with _stack(Path(__file__).parents[1]) as stack:
        try:
            _up(stack, services, scale)
        except Failed as error:
            _say(f"FAILED: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
