"""The header that a load balancer sends before a client's bytes: the PROXY protocol, versions 1 and 2.

See https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. Its fields beyond the two addresses are left out.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import asyncio

__all__ = ["Ends", "HeaderError", "read_header"]

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_LONGEST_LINE = 107  # 2.1, with the end of the line
_LOCAL, _PROXY = 0x20, 0x21
_SIZES = {0x11: 4, 0x21: 16}  # 2.2: TCP over IPv4 and over IPv6, and how long an address is there
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")

Place = tuple[str, int]


class HeaderError(ValueError):
    """What came is no header."""


class Ends(NamedTuple):
    """Both ends of the connection between the client and the load balancer: address and port of each."""

    client: Place
    server: Place


async def read_header(reader: asyncio.StreamReader) -> Ends | None:
    """Take a header off the front of what comes; None where it names nobody, as for a health check.

    Raises :class:`HeaderError`, and ``asyncio.IncompleteReadError`` where the connection ends before.
    """
    first = await reader.readexactly(1)
    if first == _SIGNATURE[:1]:
        return await _binary(reader)
    if first == b"P":
        return await _line(reader)
    raise HeaderError("it begins with something else")


async def _line(reader: asyncio.StreamReader) -> Ends | None:
    line = b"P"
    while not line.endswith(b"\r\n"):
        if len(line) >= _LONGEST_LINE:
            raise HeaderError("the line has no end")
        line += await reader.readexactly(1)
    try:
        words = line[:-2].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise HeaderError("the line is not ASCII") from None
    if words[:2] == ["PROXY", "UNKNOWN"]:
        return None
    if len(words) != 6 or words[0] != "PROXY" or words[1] not in ("TCP4", "TCP6"):
        raise HeaderError("the line is none of the protocol's")
    version = 4 if words[1] == "TCP4" else 6
    return Ends(_place(words[2], words[4], version), _place(words[3], words[5], version))


def _place(text: str, port: str, version: int) -> Place:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise HeaderError("an address is none") from None
    if address.version != version or not _PORT.fullmatch(port) or int(port) > 65535:
        raise HeaderError("an address or a port is none")
    return str(address), int(port)


async def _binary(reader: asyncio.StreamReader) -> Ends | None:
    head = _SIGNATURE[:1] + await reader.readexactly(15)
    if head[:12] != _SIGNATURE:
        raise HeaderError("it begins with something else")
    command, family = head[12], head[13]
    rest = await reader.readexactly(int.from_bytes(head[14:16]))
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise HeaderError("its version or its command is not known")
    size = _SIZES.get(family)
    if size is None:
        return None
    if len(rest) < 2 * size + 4:
        raise HeaderError("the addresses are too short")
    client, server = (str(ipaddress.ip_address(rest[at : at + size])) for at in (0, size))
    ports = (int.from_bytes(rest[at : at + 2]) for at in (2 * size, 2 * size + 2))
    return Ends(*zip((client, server), ports, strict=True))
