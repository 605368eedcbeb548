"""Rows of the provider table: the built-in ones, and a user's own out of ``aitap.toml``.

A row gives hosts a name, a type and one of the built-in lists of routes, so that a user's own gateway
or model server is recorded without code. What is wrong with a user's row is said in one line, with the
row's name and the nearest word that would have been right.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ProviderRow", "ProviderRowError", "builtin_table", "own_rows"]

_HOST = re.compile(r"(?:[a-z0-9*_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class ProviderRowError(ValueError):
    """A row that cannot be used. The text is one line that says which, why, and what would be right."""


class ProviderRow(NamedTuple):
    """One provider: where it is and what is spoken there."""

    name: str
    type: str
    hosts: tuple[str, ...]
    """Exact names or ``*`` patterns, lower-case; with ``:port`` they hold for that port alone."""
    routes: str


_FIELDS = ProviderRow._fields


@lru_cache(maxsize=1)
def builtin_table() -> dict[str, Any]:
    """``data/providers.toml`` as it is."""
    return tomllib.loads(Path(__file__).with_name("data").joinpath("providers.toml").read_text("utf-8"))


def own_rows(rows: Any) -> tuple[ProviderRow, ...]:
    """A user's rows, checked. Raises :class:`ProviderRowError` for the first thing that is wrong with one."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ProviderRowError("write each provider as a table of its own, under [[provider]]")
    return tuple(_row(number, row) for number, row in enumerate(rows, 1))


def _row(number: int, row: dict[str, Any]) -> ProviderRow:
    name = row.get("name")
    if not isinstance(name, str) or not name:
        raise ProviderRowError(f"provider row {number} has no name")
    where = f"provider {name!r}"
    for key in row:
        if key not in _FIELDS:
            raise ProviderRowError(f"{where}: unknown key {key!r}, did you mean {_near(key, _FIELDS)!r}?")
    table = builtin_table()
    types = {known["type"] for known in table["provider"]}
    routes = _word(where, "routes", row, table["routes"])
    return ProviderRow(name, _word(where, "type", row, types), _hosts(where, row.get("hosts")), routes)


def _word(where: str, key: str, row: dict[str, Any], known: Iterable[str]) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise ProviderRowError(f"{where} has no {key}: choose one of {', '.join(sorted(known))}")
    if value not in known:
        raise ProviderRowError(f"{where}: unknown {key} {value!r}, did you mean {_near(value, known)!r}?")
    return value


def _hosts(where: str, hosts: Any) -> tuple[str, ...]:
    if not isinstance(hosts, list) or not hosts or not all(isinstance(host, str) for host in hosts):
        raise ProviderRowError(f'{where} has no hosts: write a list, such as hosts = ["llm.example.com"]')
    for host in hosts:
        if not _HOST.fullmatch(host.lower()):
            raise ProviderRowError(f"{where}: {host!r} is no host: write its name alone, if need be with :port")
    return tuple(host.lower() for host in hosts)


def _near(word: str, known: Iterable[str]) -> str:
    return difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.0)[0]
