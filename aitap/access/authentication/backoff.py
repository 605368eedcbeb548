"""A pause after wrong credentials, longer each time, for the address they came from.

Whoever shows credentials that are known to be good is never held up, wherever they come from: this is asked
only before a check that costs something. Addresses are few in memory: the longest unseen is forgotten.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict

__all__ = ["ADDRESSES", "Backoff", "place_of"]

FREE = 5
"""Wrong credentials without any pause: somebody mistypes."""

LONGEST = 60.0
"""Seconds of the longest pause; the first has one, each next has twice as much."""

FORGIVEN = 600.0
"""Seconds without a mistake after which an address starts anew."""

ADDRESSES = 10_000


class Backoff:
    """Which addresses must wait, and for how long. Times are of a monotonic clock."""

    def __init__(self) -> None:
        self._mistakes: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds that this address still has to wait; 0 for none."""
        found = self._mistakes.get(place_of(address))
        if found is None:
            return 0.0
        count, last = found
        since = time.monotonic() - last
        return 0.0 if count <= FREE else max(0.0, min(LONGEST, 2.0 ** min(count - FREE - 1, 16)) - since)

    def mistake(self, address: str) -> None:
        """Wrong credentials came from here."""
        place, now = place_of(address), time.monotonic()
        count, last = self._mistakes.pop(place, (0, now))
        self._mistakes[place] = ((1 if now - last > FORGIVEN else count + 1), now)
        if len(self._mistakes) > ADDRESSES:
            self._mistakes.popitem(last=False)


def place_of(address: str) -> str:
    """The address itself; of IPv6 the /64, within which one machine has as many as it likes."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address}/64", strict=False).network_address)
    except ValueError:
        return address
