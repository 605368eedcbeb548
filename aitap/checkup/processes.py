"""Agents that run now and go past the proxy. Linux alone says of other programs what they were started with.

Only programs of the same user are looked at, and of their variables only whether they lead to the proxy.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aitap.certs.clients import notes
from aitap.checkup.finding import Finding, ok, warning
from aitap.checkup.variables import uses_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.certs.clients import ClientNotes
    from aitap.checkup.situation import Situation

__all__ = ["check_processes"]

_NOT_AGENTS = {"java", "node", "bun", "deno", "python", "curl", "git"}
_INTERPRETERS = {"node", "bun", "deno", "python", "python3", "sh", "bash"}
_HTTPS = 443


class Running(msgspec.Struct, frozen=True):
    """A program that runs."""

    pid: int
    words: tuple[str, ...]
    environ: dict[str, str]


def check_processes(situation: Situation, proc: Path = Path("/proc")) -> Iterator[Finding]:
    """Look at the agents of this user that run now."""
    if sys.platform != "linux" and proc == Path("/proc"):
        return
    table = {command: row for row in notes() if row.name not in _NOT_AGENTS for command in row.commands}
    remote: dict[str, str] | None = None
    seen = False
    for process in _running(proc):
        client = _client(process.words, table)
        if client is None or situation.client not in (None, client.name):
            continue
        seen = True
        who = f"{client.title} (process {process.pid})"
        if remote is None:
            remote = _remote(proc)
        if client.proxy and not uses_proxy(process.environ, situation.proxy):
            yield warning(
                "processes.variables",
                f"{who} was started without the proxy's variables",
                f"end it and start it with `aitap exec -- {client.commands[0]}`",
            )
        elif direct := _direct(proc, process.pid, remote, situation.proxy.port):
            yield warning(
                "processes.direct",
                f"{who} has connections past the proxy: {', '.join(direct[:3])}",
                "see `aitap env --client " + client.name + "` for what it heeds; only a firewall keeps it from that",
            )
    if seen:
        yield ok("processes.seen", "running agents were looked at")


def _running(proc: Path) -> Iterator[Running]:
    own = os.getuid() if hasattr(os, "getuid") else -1
    for folder in proc.glob("[0-9]*"):
        # A program may end while it is looked at, and another user's is none of our business.
        try:
            if folder.stat().st_uid != own:
                continue
            words = tuple(word.decode(errors="replace") for word in (folder / "cmdline").read_bytes().split(b"\0")[:8])
            pairs = [item.partition(b"=") for item in (folder / "environ").read_bytes().split(b"\0")]
        except OSError:
            continue
        environ = {name.decode(errors="replace"): value.decode(errors="replace") for name, _, value in pairs if name}
        yield Running(int(folder.name), words, environ)


def _client(words: tuple[str, ...], table: dict[str, ClientNotes]) -> ClientNotes | None:
    names = [Path(word).name.removesuffix(".js").removesuffix(".exe") for word in words if not word.startswith("-")]
    for name in names[: 2 if names and names[0] in _INTERPRETERS else 1]:
        if name in table:
            return table[name]
    return None


def _remote(proc: Path) -> dict[str, str]:
    """The sockets that are connected to port 443 somewhere else, by inode (proc(5): /proc/net/tcp)."""
    found = {}
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or fields[3] != "01":
                continue
            text, _, port = fields[2].partition(":")
            address = _address(text)
            if int(port, 16) == _HTTPS and not address.is_loopback:
                found[fields[9]] = f"{address}:{_HTTPS}"
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # Four bytes at a time, each group in the machine's own order.
    raw = bytes.fromhex(text)
    words = b"".join(
        raw[start : start + 4][:: -1 if sys.byteorder == "little" else 1] for start in range(0, len(raw), 4)
    )
    address = ipaddress.ip_address(words)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _direct(proc: Path, pid: int, remote: dict[str, str], proxy_port: int) -> list[str]:
    if not remote or proxy_port == _HTTPS:
        return []
    found = []
    try:
        for entry in (proc / str(pid) / "fd").iterdir():
            try:
                target = str(entry.readlink())
            except OSError:
                continue
            if target.startswith("socket:[") and (place := remote.get(target[8:-1])):
                found.append(place)
    except OSError:
        return []
    return sorted(set(found))
