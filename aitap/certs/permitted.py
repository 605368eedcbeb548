"""Which names the constrained CA may sign for: the hosts we decrypt, in the words of RFC 5280, 4.2.1.10.

A name constraint is a subtree: a name and all below it. A pattern that is none is spelled out where it
stands for the regions of a cloud (``data/regions.toml``); what cannot be said at all is handed back.
"""

from __future__ import annotations

import ipaddress
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.provider_rows import builtin_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aitap.capture.provider_rows import ProviderRow

__all__ = ["Permitted", "decrypted_hosts", "permitted_names", "within"]


class Permitted(msgspec.Struct, frozen=True):
    """What a CA may sign for."""

    dns: tuple[str, ...]
    """Names in lower case, sorted; each stands for itself and all below it, and none is below another."""
    addresses: tuple[str, ...]
    """Single IP addresses, sorted; every other address is forbidden."""
    beyond: tuple[str, ...] = ()
    """Patterns that no name constraint can express."""

    def covers(self, other: Permitted) -> bool:
        """Whether all that the other permits is permitted here, too."""
        names = frozenset(self.dns)
        return all(within(name, names) for name in other.dns) and set(other.addresses) <= set(self.addresses)


def within(name: str, subtrees: frozenset[str]) -> bool:
    """Whether a host name is one of these or below one of them."""
    name = name.lower()
    while name not in subtrees:
        _, dot, name = name.partition(".")
        if not dot:
            return False
    return True


def decrypted_hosts(own: Iterable[ProviderRow] = (), modes: Mapping[str, str] | None = None) -> list[str]:
    """Host patterns of everything we decrypt: the built-in table, a user's own rows, ``aitap hosts decrypt``."""
    built_in = [host for row in builtin_table()["provider"] for host in row["hosts"]]
    chosen = [pattern for pattern, mode in (modes or {}).items() if mode == "decrypt"]
    return [*built_in, *(host for row in own for host in row.hosts), *chosen]


def permitted_names(patterns: Iterable[str]) -> Permitted:
    """The fewest names and addresses that stand for these host patterns; a ``:port`` does not matter."""
    names: set[str] = set()
    addresses: set[str] = set()
    beyond: set[str] = set()
    for pattern in patterns:
        host = _without_port(pattern.lower())
        if address := _address(host):
            addresses.add(address)
        elif subtrees := _subtrees(host):
            names.update(subtrees)
        else:
            beyond.add(pattern)
    fewest = sorted(name for name in names if not within(name.partition(".")[2], frozenset(names)))
    return Permitted(tuple(fewest), tuple(sorted(addresses)), tuple(sorted(beyond)))


def _without_port(pattern: str) -> str:
    if pattern.startswith("["):
        return pattern[1:].partition("]")[0]
    # An IPv6 address without brackets has more than one colon.
    return pattern.rpartition(":")[0] if pattern.count(":") == 1 else pattern


def _address(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _subtrees(host: str) -> list[str]:
    """The subtrees that cover a pattern, and as little else as can be; empty where that is nearly everything."""
    rest = host.removeprefix("*.")
    if "*" not in rest:
        return [rest] if rest else []
    if regions := _regions(rest):
        return [rest.replace("*", region) for region in regions] if rest.count("*") == 1 else []
    parent = rest.rpartition("*")[2].partition(".")[2]
    return [parent] if "." in parent else []


def _regions(pattern: str) -> list[str]:
    data = _data()
    cloud = max(
        (cloud for cloud in data["cloud"] if pattern.endswith("." + cloud["suffix"])),
        key=lambda cloud: len(cloud["suffix"]),
        default=None,
    )
    if cloud is None:
        return []
    only = next((row["regions"] for row in data["only"] if pattern.startswith(row["prefix"])), None)
    found: list[str] = only or data["regions"][cloud["regions"]]
    return found


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("data").joinpath("regions.toml").read_text("utf-8"))
