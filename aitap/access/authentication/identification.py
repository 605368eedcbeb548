"""From credentials to a person: every source is asked, in order, what costs nothing first.

Back-off comes in between: whoever is known already passes, whatever else came from the same address; only
what would have to be looked up is not looked up while the address must wait. Many connections that a client
opens at once with the same credentials share one look-up.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from aitap.access.authentication.sources import Answer, Grant, Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from aitap.access.authentication.backoff import Backoff
    from aitap.access.authentication.credentials import Credentials
    from aitap.access.authentication.sources import Source

__all__ = ["Identification"]

logger = logging.getLogger(__name__)

LOOK_UPS = 256
"""How many may be under way; further ones are told to come again."""


class Identification:
    """Tells who shows credentials."""

    def __init__(self, sources: Sequence[Source], backoff: Backoff) -> None:
        self._sources = sources
        self._backoff = backoff
        self._under_way: dict[bytes, asyncio.Future[Answer]] = {}

    def __call__(self, credentials: Credentials, address: str) -> Answer | Awaitable[Answer]:
        """The answer, at once where it is known."""
        for source in self._sources:
            answer = source.known(credentials)
            if answer is not None:
                return answer
        if wait := self._backoff.wait(address):
            return Refusal("backoff", math.ceil(wait))
        able = [source for source in self._sources if source.can_look_up(credentials)]
        if not able:
            self._backoff.mistake(address)
            return Refusal("wrong")
        return self._shared(credentials, address, able)

    async def _shared(self, credentials: Credentials, address: str, able: Sequence[Source]) -> Answer:
        mark = credentials.mark
        task = self._under_way.get(mark)
        if task is None:
            if len(self._under_way) >= LOOK_UPS:
                return Refusal("backoff", 1)
            task = self._under_way[mark] = asyncio.ensure_future(_look_up(credentials, able))
            task.add_done_callback(lambda _: self._under_way.pop(mark, None))
        # A client that goes away takes its own wait with it, not that of the others.
        answer = await asyncio.shield(task)
        if isinstance(answer, Refusal) and answer.reason == "wrong":
            self._backoff.mistake(address)
        return answer


async def _look_up(credentials: Credentials, able: Sequence[Source]) -> Answer:
    refusal = Refusal("wrong")
    for source in able:
        try:
            answer = await source.look_up(credentials)
        except Exception:
            logger.exception("aitap: %s could not be asked about a key", type(source).__name__)
            answer = Refusal("unreachable", 5)
        if isinstance(answer, Grant):
            return answer
        if answer is not None and (refusal.reason == "wrong" or answer.reason == "revoked"):
            refusal = answer
    return refusal
