"""What a setting's text may be: each function makes a value of a text, or says what to write instead.

They all raise ``ValueError`` with one line that a person can act on; :mod:`aitap.settings` puts the setting's name
and where the text came from in front of it.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "address",
    "boolean",
    "count",
    "database_url",
    "duration",
    "folder_path",
    "networks",
    "one_of",
    "ports",
    "size",
    "web_url",
    "words",
]

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def duration(text: str) -> float:
    """Seconds in ``100ms``, ``30s``, ``10m``, ``12h``, ``60d`` or ``2w``; ``0`` is nothing at all.

    Raises ``ValueError`` for anything else.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*", text)
    if match:
        return float(match[1]) * _UNITS[match[2]]
    if text.strip() == "0":
        return 0.0
    raise ValueError("write a number and a unit, such as 100ms, 12h, 60d or 2w; 0 for none")


def folder_path(text: str) -> Path:
    """A folder, whether it is there or not; ``~`` is the user's home. Raises ``ValueError`` for none."""
    if not text.strip():
        raise ValueError("write the path of a folder")
    return Path(text).expanduser().absolute()


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser that takes just these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"choose one of {', '.join(choices)}")
        return text

    return parse


def database_url(text: str) -> str:
    """A database URL whose scheme we have a driver for. Raises ``ValueError`` otherwise."""
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in ("sqlite", "postgresql", "postgres", "cockroachdb"):
        raise ValueError("write sqlite:////absolute/path.db or postgresql://user:password@host/name")
    return text


def web_url(text: str) -> str:
    """An ``http`` or ``https`` address without a slash at its end; empty for none. Raises ``ValueError`` otherwise."""
    if text and not re.fullmatch(r"https?://[^/\s@]+(/\S*)?", text):
        raise ValueError("write https://host, without a user")
    return text.rstrip("/")


def words(text: str) -> tuple[str, ...]:
    """What stands between commas and spaces, in lower case."""
    return tuple(word.lower() for word in re.split(r"[,\s]+", text) if word)


def ports(text: str) -> frozenset[int]:
    """Port numbers between commas. Raises ``ValueError`` for anything else."""
    if not all(word.isdecimal() and 0 < int(word) < 65536 for word in words(text)):
        raise ValueError("write port numbers between commas, such as 443,80")
    return frozenset(int(word) for word in words(text))


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Addresses and networks between commas. Raises ``ValueError`` for anything else."""
    try:
        return tuple(ip_network(word) for word in words(text))
    except ValueError as error:
        raise ValueError(
            f"write addresses or networks between commas, such as 10.0.0.5 or 10.1.0.0/16: {error}"
        ) from None


def size(text: str) -> int:
    """Bytes in ``64k``, ``10m``, ``1g`` or a plain number. Raises ``ValueError`` for anything else."""
    match = re.fullmatch(r"\s*(\d+)\s*([kmg]?)b?\s*", text.lower())
    if not match:
        raise ValueError("write a number of bytes, or one with k, m or g, such as 64m; 0 for any")
    return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2]]


def count(text: str) -> int:
    """A whole number, not negative. Raises ``ValueError`` for anything else."""
    if not text.strip().isdecimal():
        raise ValueError("write a whole number; 0 for any")
    return int(text)


def boolean(text: str) -> bool:
    """``true`` or ``false``, and what people write for them. Raises ``ValueError`` for anything else."""
    word = text.strip().lower()
    if word not in _BOOLEANS:
        raise ValueError("write true or false")
    return _BOOLEANS[word]


def address(text: str) -> tuple[str, int] | None:
    """Host and port of ``host:port``, ``[::1]:port`` or ``:port`` (every address); empty for none.

    Raises ``ValueError`` for anything else.
    """
    if not text.strip():
        return None
    host, colon, port = text.strip().rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in bare and bare == host):
        raise ValueError("write an address and a port, such as 127.0.0.1:9464")
    return bare, int(port)
