"""From a host and a path to a provider and a dialect. The table is data (``data/providers.toml``)."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any

import msgspec

from aitap.record import Purpose

__all__ = ["Route", "Router"]


class Route(msgspec.Struct, frozen=True):
    """One kind of model call."""

    provider: str
    provider_name: str
    api: str
    purpose: Purpose = "conversation"


class Router:
    """Answers, from memory, which model call a request is."""

    def __init__(self, table: dict[str, Any] | None = None) -> None:
        if table is None:
            table = tomllib.loads(resources.files("aitap.capture").joinpath("data/providers.toml").read_text("utf-8"))
        self._exact: dict[str, list[tuple[re.Pattern[str], Route]]] = {}
        self._patterns: list[tuple[re.Pattern[str], list[tuple[re.Pattern[str], Route]]]] = []
        for row in table["provider"]:
            routes = [
                (
                    re.compile(fnmatch.translate(route["path"])),
                    Route(row["type"], row["name"], route["api"], route.get("purpose", "conversation")),
                )
                for route in table["routes"][row["routes"]]
            ]
            for host in row["hosts"]:
                if "*" in host:
                    self._patterns.append((re.compile(fnmatch.translate(host)), routes))
                else:
                    self._exact[host] = routes
        # Hosts and paths come from strangers: the memory is bounded.
        self.route = lru_cache(maxsize=4096)(self._route)

    def _route(self, host: str, path: str) -> Route | None:
        routes = self._exact.get(host)
        if routes is None:
            routes = next((routes for pattern, routes in self._patterns if pattern.match(host)), None)
        for pattern, route in routes or ():
            if pattern.match(path):
                return route
        return None
