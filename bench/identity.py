"""What identity costs per request on the event loop, with 10,000 users and keys: ``python -m bench.identity``.

The hooks of :mod:`aitap.access` are called as mitmproxy calls them, for flows of its own making, and timed with
the clock's own cost taken off. Wall clock, in microseconds; nothing is sent anywhere.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mitmproxy import exceptions
from mitmproxy.proxy import mode_specs
from mitmproxy.test import taddons, tflow

from aitap.access.authentication.directory import Directory
from aitap.access.gate.gate import Gate
from aitap.access.identity import user_id
from aitap.access.peers import Peers
from aitap.access.startup import Startup
from aitap.settings import load
from aitap.storage.database import execute_many, open_database, transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.keys import key_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitmproxy import http

__all__ = ["main"]

PEOPLE = 10_000
REQUESTS = 20_000
LIMIT = 50.0
"""Microseconds that a request may cost, once its connection or key is known."""

_USERS = "INSERT INTO users (id, username, name, deleted, created_at, source) VALUES (?, ?, '', ?, ?, 'local')"
_KEYS = "INSERT INTO aitap_keys (id, user_id, name, digest, hint, created_at) VALUES (?, ?, '', ?, '', ?)"


def people(url: str) -> list[str]:
    """So many users with a key each, in a new database; the keys."""
    keys = [f"aitap_{number:043d}" for number in range(PEOPLE)]
    now = timestamp_text(time.time())
    database = open_database(url, migrate=True)
    with transaction(database):
        users = [(user_id(f"user{number}"), f"user{number}", False, now) for number in range(PEOPLE)]
        execute_many(database, _USERS, users)
        rows = [(user_id(f"key{number}"), users[number][0], key_digest(key), now) for number, key in enumerate(keys)]
        execute_many(database, _KEYS, rows)
    database.close()
    return keys


def timed(call: Callable[[Any], Any], values: list[Any]) -> list[float]:
    """Microseconds of each call."""
    took = []
    for value in values:
        before = perf_counter_ns()
        start = perf_counter_ns()
        with contextlib.suppress(exceptions.AddonHalt):
            call(value)
        took.append(max(0, (perf_counter_ns() - start) - (start - before)) / 1000)
    return took


def flow(client: Any, key: str | None) -> http.HTTPFlow:
    """A request with as many headers as Claude Code sends."""
    made = tflow.tflow()
    made.client_conn = client
    for number in range(24):
        made.request.headers[f"x-header-{number}"] = "value"
    if key is not None:
        credentials = base64.b64encode(f"user:{key}".encode()).decode()
        made.request.headers["Proxy-Authorization"] = f"Basic {credentials}"
    return made


async def measure(url: str, keys: list[str]) -> dict[str, list[float]]:
    """Durations by what was done."""
    gate = Gate(Peers())
    directory = Directory(url)
    with taddons.context() as context:
        context.options.add_option("proxyauth", str, "", "")
        context.options.add_option("mode", Sequence[str], ["regular"], "")
        gate.load(SimpleNamespace(master=context.master))  # type: ignore[arg-type]
        directory.start()
        settings = load({"database_url": url, "auth": "required"}, {})
        gate.start(Startup(settings, None, None, directory, None, asyncio.get_running_loop()))  # type: ignore[arg-type]
        door = gate.door

        def asked(one: http.HTTPFlow) -> None:
            later = door.requestheaders(one)
            assert later is None, "it is known in memory"
            gate.requestheaders(one)

        clients = []
        for _ in range(PEOPLE):
            client = tflow.tclient_conn()
            client.id = f"client-{len(clients)}"
            client.proxy_mode = mode_specs.ProxyMode.parse("regular")
            clients.append(client)
        found = {"connect": timed(door.client_connected, clients)}
        connects = [flow(client, key) for client, key in zip(clients, keys, strict=True)]
        for one in connects:
            one.request.method = "CONNECT"
        found["first request of a key: CONNECT"] = timed(door.http_connect, connects)
        assert not any(one.response for one in connects)
        known = [flow(clients[number % PEOPLE], None) for number in range(REQUESTS)]
        found["request inside"] = timed(asked, known)
        assert not any(one.response for one in known)
        for client in clients:
            door.client_disconnected(client)
            door.client_connected(client)
        plain = [flow(clients[number % PEOPLE], keys[number % PEOPLE]) for number in range(REQUESTS)]
        found["plain request with its key"] = timed(asked, plain)
        assert not any(one.response for one in plain)
        wrong = [flow(clients[number % PEOPLE], None) for number in range(2000)]
        found["refusal"] = timed(asked, wrong)
        assert all(one.response and one.response.status_code == 407 for one in wrong)
        start = perf_counter_ns()
        gate.door.sessions  # noqa: B018 - as the look at the grants does
        gate._look()
        found[f"look at {PEOPLE} open connections, once a second"] = [(perf_counter_ns() - start) / 1000]
        directory.stop()
        gate.stop()
    return found


def main() -> int:
    """Print what was found as JSON; 1 where a request costs too much."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'identity.db'}"
        found = asyncio.run(measure(url, people(url)))
    told = {
        what: {
            "median": round(statistics.median(took), 2),
            "p99": round(statistics.quantiles(took, n=100)[98] if len(took) > 1 else took[0], 2),
        }
        for what, took in found.items()
    }
    print(json.dumps(told, indent=2))
    return int(max(told[what]["median"] for what in ("request inside", "plain request with its key")) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
