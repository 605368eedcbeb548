"""The clients installed here, each against what it is known to need, and the version of Node they may run on."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from aitap.certs.clients import ClientNotes, notes
from aitap.checkup.finding import Finding, ok, problem, warning
from aitap.checkup.variables import SET_UP, same_place
from aitap.checkup.versions import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aitap.checkup.situation import Situation

__all__ = ["check_clients", "node_heeds_proxies"]

_QUIET = {"java", "bun", "deno", "python", "curl", "git"}
"""What is installed everywhere is only of interest where it was asked for."""


def check_clients(situation: Situation) -> Iterator[Finding]:
    """Look at the clients of the table that are on PATH."""
    path = situation.environ.get("PATH")
    node = shutil.which("node", path=path)
    version = _version(node) if node else ()
    for client in notes():
        if situation.client not in (None, client.name) or (situation.client is None and client.name in _QUIET):
            continue
        if client.name == "node":
            if version:
                yield _node(situation, version)
            continue
        command = next((name for name in client.commands if shutil.which(name, path=path)), None)
        if command is None:
            if situation.client == client.name:
                yield warning(
                    f"client.{client.name}", f"{client.title} is not on PATH", f"install {client.commands[0]}"
                )
            continue
        yield from _client(situation, client, version)
        if situation.client == client.name:
            yield from (ok(f"client.{client.name}", f"{client.title}: {trap}") for trap in client.traps)


def _client(situation: Situation, client: ClientNotes, node: tuple[int, ...]) -> Iterator[Finding]:
    check = f"client.{client.name}"
    environ = situation.environ
    if client.node and node and node < numbers(client.node):
        yield warning(
            check, f"{client.title} needs Node {client.node} behind a proxy, here is {_dotted(node)}", "upgrade Node"
        )
    if client.set_up is not None:
        yield ok(check, f"{client.title}: {client.set_up}")
        return
    proxies = [name for name in client.proxy if _value(environ, name)]
    if not any(_value(environ, name) for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")):
        heeds = f"heeds {' or '.join(client.proxy)} and {' or '.join(client.ca)}"
        yield ok(check, f"{client.title}: `aitap exec -- {client.commands[0]}`; {heeds}")
    elif not any(same_place(_value(environ, name), situation.proxy) for name in proxies):
        yield problem(check, f"{client.title} goes past the proxy: it heeds {' or '.join(client.proxy)} alone", SET_UP)
    elif not any(environ.get(name) for name in client.ca):
        yield problem(check, f"{client.title} does not trust the CA: it heeds {' or '.join(client.ca)} alone", SET_UP)
    else:
        yield ok(
            check, f"{client.title} is set up: {proxies[0]}, {next(name for name in client.ca if environ.get(name))}"
        )


def _value(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(name) or environ.get(name.lower())


def node_heeds_proxies(version: tuple[int, ...]) -> bool:
    """Whether plain Node of this version can be told to use a proxy (``NODE_USE_ENV_PROXY``: 22.21, 24.0)."""
    return version >= (24,) or (22, 21) <= version < (23,)


def _node(situation: Situation, version: tuple[int, ...]) -> Finding:
    if not node_heeds_proxies(version):
        return warning(
            "client.node",
            f"Node {_dotted(version)}: what runs on it goes past the proxy, unless it looks for one itself",
            "use Node 22.21, 24 or later, with NODE_USE_ENV_PROXY=1",
        )
    if situation.environ.get("HTTPS_PROXY") and situation.environ.get("NODE_USE_ENV_PROXY") != "1":
        return problem(
            "client.node", f"Node {_dotted(version)} goes past the proxy without NODE_USE_ENV_PROXY=1", SET_UP
        )
    return ok("client.node", f"Node {_dotted(version)} can use the proxy")


def _version(node: str) -> tuple[int, ...]:
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=2, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    return numbers(done.stdout.strip())


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version)
