"""``NO_PROXY``: which hosts a client reaches directly, and what of a user's own list may stay.

There is no standard; what is common to curl, Go, Python and Node is implemented: names between commas or
spaces, each for itself and all below it, a leading dot or ``*.`` that changes nothing, ``*`` for all, ``:port``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LOOPBACK", "ai_hosts", "entries", "excluded", "merged"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Local servers (MCP, language servers, a client's own helper) are reached directly."""


def entries(text: str) -> list[str]:
    """The entries of a ``NO_PROXY``, lower-case, each once."""
    return list(dict.fromkeys(word.lower() for word in re.split(r"[,\s]+", text) if word))


def excluded(entry: str, hosts: Iterable[str]) -> list[str]:
    """Those of ``hosts`` that clients reach directly because of this entry."""
    if entry == "*":
        return list(hosts)
    name = entry.removeprefix("*").lstrip(".")
    if (match := re.fullmatch(r"([^:]+):(\d+)", name)) is not None:
        if match[2] != "443":
            return []
        name = match[1]
    return [host for host in hosts if name and (host == name or host.endswith(f".{name}"))]


def ai_hosts() -> list[str]:
    """The hosts of the built-in provider table, one for each pattern; none of this machine's own."""
    from aitap.capture.provider_rows import builtin_table

    hosts = [host.partition(":")[0] for row in builtin_table()["provider"] for host in row["hosts"]]
    return [host.replace("*", "any") for host in hosts if host not in {"localhost", "127", "127.0.0.1"}]


def merged(existing: str) -> str:
    """A ``NO_PROXY`` of loopback and what stood there already, without what would lead around the proxy."""
    own = [entry for entry in entries(existing) if entry not in LOOPBACK]
    hosts = ai_hosts() if own else []
    return ",".join([*LOOPBACK, *(entry for entry in own if not excluded(entry, hosts))])
