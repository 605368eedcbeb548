"""A proxy that wants a key, and clients that come from whichever loopback address a test likes."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proxy.mitmdump import Mitmdump
from tests.proxy.people import People
from tests.proxy.plain import Answer, read_answer
from tests.proxy.raw import TIMEOUT, everything
from tests.proxy.upstream import Upstream

__all__ = ["CHALLENGE", "Gated", "gated", "knock", "own_address", "rest"]

CHALLENGE = 'Basic realm="aitap", charset="UTF-8"'

_numbers = itertools.count(2)


def own_address() -> str:
    """A loopback address that no other test comes from, so that none pays for another's mistakes."""
    number = next(_numbers)
    return f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255 or 1}"


class Gated:
    """The proxy and the people in its database."""

    def __init__(self, proxy: Mitmdump) -> None:
        self.proxy = proxy
        self.people = People(proxy)

    def dial(self, source: str = "127.0.0.1") -> socket.socket:
        """A connection to the proxy, from this address."""
        return socket.create_connection(("127.0.0.1", self.proxy.port), TIMEOUT, source_address=(source, 0))

    def url(self, user: str, secret: str) -> str:
        """What goes into ``HTTPS_PROXY``."""
        return f"http://{user}:{secret}@127.0.0.1:{self.proxy.port}"


@contextlib.contextmanager
def gated(start: Callable[..., Mitmdump], auth: str = "required", **how: object) -> Iterator[Gated]:
    """A proxy with this setting for ``auth``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITAP_AUTH", auth)
        place = Gated(start(**how))
    yield place


def knock(place: Gated, request: bytes, source: str = "127.0.0.1") -> Answer:
    """The answer to these bytes, on a connection of their own."""
    with place.dial(source) as connection:
        connection.sendall(request)
        return read_answer(connection)


def rest(connection: socket.socket) -> bytes:
    """All that comes until the proxy ends the connection, with or without a reset."""
    try:
        return everything(connection)
    except ConnectionResetError:
        return b""


def shared(tmp_path_factory: pytest.TempPathFactory, confdir: Path, provider: Upstream) -> Callable[..., Mitmdump]:
    """How a module starts the one proxy of its own."""

    def start(*scripts: str, **how: object) -> Mitmdump:
        return Mitmdump(tmp_path_factory.mktemp("gated"), confdir, provider, *scripts, **how)  # type: ignore[arg-type]

    return start
