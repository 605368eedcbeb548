"""What is told of hosts beside interceptions: tunnels, their bytes, and handshakes that clients refused.

Theory of operation. A tunnel counts its own bytes in two integers, since its chunks are too many for
anything more. It is told of when it opens, when it ends, once a minute in between, and when the proxy
stops; each time what has been told is taken off. What is to be told is summed up by host, user and
client, and handed to the relay at most four times a second, however many connections there were.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from aitap.record import HostMode, HostSeen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Counted", "Sight", "Tallies"]

logger = logging.getLogger(__name__)

_TICK = 0.25
_EVERY = 60.0


class Sight(NamedTuple):
    """Of whom and what a count is: the fields of :class:`aitap.record.HostSeen` by these names."""

    host: str
    mode: HostMode
    provider: str
    provider_name: str
    initiator_id: str
    client: str
    client_address: str
    api_key_id: str | None = None


class Counted(Protocol):
    """A tunnel: what has passed since the last :meth:`Tallies` look."""

    sight: Sight
    sent: int
    received: int


class _Tally:
    __slots__ = ("connections", "error", "received", "refusals", "sent")

    def __init__(self) -> None:
        self.connections = self.sent = self.received = self.refusals = 0
        self.error = ""


class Tallies:
    """Sums up what is seen. Before :meth:`start` it gathers, after :meth:`stop` it is silent."""

    def __init__(self) -> None:
        self._tallies: dict[Sight, _Tally] = {}
        self._open: set[Counted] = set()
        self._tell: Callable[[HostSeen], None] | None = None
        self._call_later: Callable[..., Any] | None = None
        self._telling = self._looking = False
        self._stopped = False

    def start(self, tell: Callable[[HostSeen], None], call_later: Callable[..., Any]) -> None:
        """From now on this is told what is seen; ``call_later`` is that of the event loop."""
        self._tell = tell
        self._call_later = call_later
        self._arm()

    def stop(self) -> None:
        """Tell everything, also of the tunnels that are still open."""
        for tunnel in self._open:
            self._take(tunnel)
        self._flush()
        self._stopped = True

    def opened(self, tunnel: Counted) -> None:
        """A tunnel leads somewhere."""
        self._open.add(tunnel)
        self._tally(tunnel.sight).connections += 1
        self._arm()

    def ended(self, tunnel: Counted) -> None:
        """A tunnel is over; a second word of it is not heard."""
        if tunnel in self._open:
            self._open.remove(tunnel)
            self._take(tunnel)
            self._arm()

    def refused(self, sight: Sight, error: str) -> None:
        """A client did not trust us."""
        tally = self._tally(sight)
        tally.refusals += 1
        tally.error = error
        self._arm()

    def _tally(self, sight: Sight) -> _Tally:
        tally = self._tallies.get(sight)
        if tally is None:
            tally = self._tallies[sight] = _Tally()
        return tally

    def _take(self, tunnel: Counted) -> None:
        sent, received = tunnel.sent, tunnel.received
        if sent or received:
            tunnel.sent = tunnel.received = 0
            tally = self._tally(tunnel.sight)
            tally.sent += sent
            tally.received += received

    def _arm(self) -> None:
        """An idle proxy does not wake at all."""
        if self._call_later is None or self._stopped:
            return
        if self._tallies and not self._telling:
            self._telling = True
            self._call_later(_TICK, self._flush)
        if self._open and not self._looking:
            self._looking = True
            self._call_later(_EVERY, self._look)

    def _look(self) -> None:
        self._looking = False
        for tunnel in self._open:
            self._take(tunnel)
        self._arm()

    def _flush(self) -> None:
        self._telling = False
        if self._tell is None or self._stopped:
            return
        tallies, self._tallies = self._tallies, {}
        now = time.time()
        for sight, tally in tallies.items():
            self._tell(
                HostSeen(
                    **sight._asdict(),
                    at=now,
                    connections=tally.connections,
                    bytes_sent=tally.sent,
                    bytes_received=tally.received,
                    refusals=tally.refusals,
                    error=tally.error,
                )
            )
