"""Names resolve once, for the check and for the dial.

A name that is public when it is checked and loopback when it is dialled (DNS rebinding) gains nothing: what
asyncio dials for mitmproxy goes through :meth:`Resolver.getaddrinfo`, which leaves refused addresses out of
the very answer that is dialled. Which rules hold for a dial, the task that dials says by :meth:`Resolver.judge`.
"""

from __future__ import annotations

import asyncio
import contextvars
import ipaddress
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.access.egress.destinations import Refused
    from aitap.access.egress.networks import IPAddress

__all__ = ["Resolver", "address_of"]

FRESH = 5.0
"""Seconds that an answer is kept: long enough for the dial that follows a check."""

UNKNOWN = 60.0
"""Seconds that a name is not looked up again beforehand, where that failed or took too long."""

_MOST = 1024

_judge: contextvars.ContextVar[Callable[[IPAddress], Refused | None] | None] = contextvars.ContextVar(
    "aitap_judge", default=None
)


class Resolver:
    """Stands before the ``getaddrinfo`` of an event loop from :meth:`install` to :meth:`remove`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._below = loop.getaddrinfo
        self._answers: dict[tuple[Any, ...], tuple[float, list[Any]]] = {}
        self._unknown: dict[str, float] = {}

    def install(self) -> None:
        """Be asked from now on."""
        self._loop.getaddrinfo = self.getaddrinfo  # type: ignore[method-assign]

    def remove(self) -> None:
        """Be asked no longer."""
        if self._loop.getaddrinfo == self.getaddrinfo:
            self._loop.getaddrinfo = self._below  # type: ignore[method-assign]

    @staticmethod
    def judge(judge: Callable[[IPAddress], Refused | None] | None) -> None:
        """What the task that calls this dials from now on is judged so; None: everything may be dialled."""
        _judge.set(judge)

    async def addresses(self, host: str, port: int) -> list[IPAddress]:
        """Where a name leads, as the dial that follows will have it. Raises ``OSError`` where it leads nowhere."""
        answers = await self._lookup(host, port, family=0, type=socket.SOCK_STREAM, proto=0, flags=0)
        return [address_of(answer[4]) for answer in answers]

    async def addresses_soon(self, host: str, port: int, within: float) -> list[IPAddress]:
        """As :meth:`addresses`, for who can do without: ``OSError``, and for a while, where it takes too long.

        Where an upstream proxy is the only way out, names of the Internet may not resolve at all, and slowly.
        """
        now = time.monotonic()
        if now < self._unknown.get(host, 0.0):
            raise OSError(f"{host} was not found a moment ago")
        try:
            return await asyncio.wait_for(self.addresses(host, port), within)
        except OSError:  # also TimeoutError
            if len(self._unknown) >= _MOST:
                self._unknown.clear()
            self._unknown[host] = now + UNKNOWN
            raise

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """As of the loop; ``OSError`` says in one line why none of the addresses may be dialled."""
        judge = _judge.get()
        if judge is None:
            return await self._below(host, port, family=family, type=type, proto=proto, flags=flags)
        answers = await self._lookup(host, port, family=family, type=type, proto=proto, flags=flags)
        refused = [judge(address_of(answer[4])) for answer in answers]
        kept = [answer for answer, why in zip(answers, refused, strict=True) if why is None]
        if not kept:
            raise OSError(next((why.text for why in refused if why is not None), f"{host} has no address"))
        return kept

    async def _lookup(self, host: Any, port: Any, **how: int) -> list[Any]:
        key = (host, port, *how.values())
        now = time.monotonic()
        known = self._answers.get(key)
        if known is not None and now - known[0] < FRESH:
            return known[1]
        try:
            answers = await self._below(host, port, **how)
        except UnicodeError:
            # What IDNA cannot encode (an empty or endless label): asyncio's caller expects an OSError only.
            raise OSError(f"{host!r} is no host name") from None
        if len(self._answers) >= _MOST:
            self._answers = {key: known for key, known in self._answers.items() if now - known[0] < FRESH}
            if len(self._answers) >= _MOST:
                self._answers.clear()
        self._answers[key] = (now, list(answers))
        return self._answers[key][1]


def address_of(name: Any) -> IPAddress:
    """The address in a socket's name. Raises ``ValueError`` where it has none."""
    return ipaddress.ip_address(str(name[0]).partition("%")[0])
