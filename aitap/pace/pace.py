"""The part of the proxy that puts all this in force, and takes it back when the proxy ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mitmproxy import ctx

from aitap.access.grafts import Grafts
from aitap.pace import chains, lookups, records, straight, unheard
from aitap.pace.known import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aitap.access.startup import Startup

__all__ = ["Pace"]

logger = logging.getLogger(__name__)


class Pace:
    """A part of the proxy (see :class:`aitap.access.startup.Part`)."""

    idle = True  # it has no hooks of its own

    def __init__(self) -> None:
        self._grafts = Grafts()
        self._chains = chains.Chains()
        self._straight = straight.Straight(self._chains)

    def start(self, startup: Startup) -> None:
        """Begin, with those whose code of mitmproxy's is known."""
        if not startup.settings.shortcuts:
            return
        for relies_on, begin in self.ways():
            strange = unknown(relies_on)
            if strange:
                # Nothing that anybody need mend: mitmproxy's own way is longer, and as good.
                logger.debug("aitap: this mitmproxy does some things in a way of its own: %s", ", ".join(strange))
            else:
                begin(self._grafts)

    def ways(self) -> Iterator[tuple[tuple[Any, ...], Callable[[Grafts], None]]]:
        """What each shorter way stands for, and how it is begun."""
        yield lookups.HEADERS, lookups.look_up_headers
        yield lookups.OPTIONS, lookups.read_options
        yield lookups.MESSAGES, lookups.make_messages
        yield lookups.CONTEXTS, lookups.fork_contexts
        yield records.RELIES_ON, records.fetch_once
        yield chains.RELIES_ON, lambda grafts: chains.ask_fewer(grafts, self._chains)
        yield unheard.RELIES_ON, lambda grafts: unheard.leave_unheard(grafts, self._chains)
        server = ctx.master.addons.get("proxyserver")  # type: ignore[no-untyped-call]
        if server is not None:
            yield straight.RELIES_ON, lambda grafts: self._straight.begin(grafts, server)

    def stop(self) -> None:
        """The proxy ends."""
        self._straight.end()
        self._grafts.remove()
