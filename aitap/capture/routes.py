"""From a host and a path to a provider and a dialect. The table is data (``data/providers.toml``)."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.provider_rows import ProviderRow, builtin_table
from aitap.record import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Route", "Router"]


class Route(msgspec.Struct, frozen=True):
    """One kind of model call."""

    provider: str
    provider_name: str
    api: str
    purpose: Purpose = "conversation"


class Router:
    """Answers, from memory, which model call a request is.

    ``own`` are a user's rows. They are asked before those of the table, and the first row of which host
    and path fit counts: a row may add a path to a host, and a host may be of several providers.
    """

    def __init__(self, own: Iterable[ProviderRow] = (), *, table: dict[str, Any] | None = None) -> None:
        table = builtin_table() if table is None else table
        self._rows = [
            (_host_test(host), _routes(row, table["routes"]))
            for row in (*own, *(ProviderRow(**row) for row in table["provider"]))
            for host in row.hosts
        ]
        # Hosts and paths come from strangers: the memory is bounded.
        self._of_host = lru_cache(maxsize=1024)(self._find_host)
        self.route = lru_cache(maxsize=4096)(self._route)

    def _find_host(self, host: str, port: int) -> list[tuple[re.Pattern[str], Route]]:
        return [route for fits, routes in self._rows if fits(host, port) for route in routes]

    def _route(self, host: str, path: str, port: int = 0) -> Route | None:
        """What a request to this host (lower-case), path (still percent-encoded) and port is; None: no model call.

        A host that the table names with a port is only found where the port is given.
        """
        return next((route for pattern, route in self._of_host(host, port) if pattern.match(path)), None)


def _routes(row: ProviderRow, lists: dict[str, list[dict[str, Any]]]) -> list[tuple[re.Pattern[str], Route]]:
    return [
        (
            re.compile(fnmatch.translate(route["path"])),
            Route(route.get("type", row.type), row.name, route["api"], route.get("purpose", "conversation")),
        )
        for route in lists[row.routes]
    ]


def _host_test(host: str) -> Callable[[str, int], bool]:
    """Whether a host and a port are those of a row: ``name``, ``*.name`` or either with ``:port``."""
    name, colon, digits = host.rpartition(":")
    wanted = int(digits) if colon else 0
    name = (name if colon else host).strip("[]")
    if "*" not in name:
        return lambda host, port: host == name and wanted in (0, port)
    pattern = re.compile(fnmatch.translate(name))
    return lambda host, port: wanted in (0, port) and pattern.match(host) is not None
