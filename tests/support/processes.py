"""What processes listen on, whom they are connected to, and what stands among their arguments, read from /proc."""

import ipaddress
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

LISTENING, CONNECTED = "0A", ("01", "02")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Socket:
    """A TCP socket: whether it listens, and its own address, or the other end's of a connection."""

    process: str
    listens: bool
    address: Address


def tree(pid: int) -> list[int]:
    """A process and all that descend from it, as far as they are there."""
    try:
        root = psutil.Process(pid)
        return [pid, *(child.pid for child in root.children(recursive=True))]
    except psutil.Error:
        return []


def arguments(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def sockets(pid: int) -> Iterator[Socket]:
    """The TCP sockets of one process, in whatever network namespace it is."""
    mine = set()
    with suppress(OSError):
        for descriptor in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                mine.add(os.readlink(descriptor.path))
    for kind in ("tcp", "tcp6"):
        lines: list[str] = []
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]
        for words in map(str.split, lines):
            if f"socket:[{words[9]}]" in mine and words[3] in (LISTENING, *CONNECTED):
                listens = words[3] == LISTENING
                yield Socket(arguments(pid), listens, _address(words[1 if listens else 2].partition(":")[0]))


def is_here(address: Address) -> bool:
    """Whether an address is of this machine alone."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _address(text: str) -> Address:
    """An address as the kernel writes it: 32-bit words in the machine's own order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    return ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
