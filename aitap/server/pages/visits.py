"""Who is signed in: a random number in a cookie, and here its hash with the digest of the key that was shown.

The number is no key and tells none. A visit ends with the process, after hours without a request, when somebody signs
out, and with the key: it is looked at anew for each request, so that a key that is revoked ends its visits.
"""

from __future__ import annotations

import secrets
import time
from hashlib import sha256

import msgspec

__all__ = ["IDLE_SECONDS", "LONGEST_SECONDS", "Visits"]

IDLE_SECONDS = 12 * 3600.0
LONGEST_SECONDS = 7 * 86400.0

_MOST = 10_000
_BYTES = 32


class _Visit(msgspec.Struct):
    key_digest: str
    begun_at: float
    seen_at: float


class Visits:
    """The visits of this process. For the event loop alone."""

    def __init__(self) -> None:
        self._visits: dict[str, _Visit] = {}

    def begin(self, key_digest: str) -> str:
        """Sign in who showed the key of this digest; gives the number for the cookie."""
        number = secrets.token_urlsafe(_BYTES)
        now = time.time()
        if len(self._visits) >= _MOST:
            # Whoever was seen last stays.
            kept = sorted(self._visits.items(), key=lambda item: item[1].seen_at)[_MOST // 10 :]
            self._visits = {mark: visit for mark, visit in kept if not _is_over(visit, now)}
        self._visits[_mark(number)] = _Visit(key_digest, now, now)
        return number

    def key_digest(self, number: str) -> str | None:
        """The digest of the key with which this visit began; None where there is no such visit any more."""
        mark = _mark(number)
        visit = self._visits.get(mark)
        if visit is None:
            return None
        now = time.time()
        if _is_over(visit, now):
            del self._visits[mark]
            return None
        visit.seen_at = now
        return visit.key_digest

    def end(self, number: str) -> None:
        """Sign out."""
        self._visits.pop(_mark(number), None)


def _is_over(visit: _Visit, now: float) -> bool:
    return now - visit.seen_at > IDLE_SECONDS or now - visit.begun_at > LONGEST_SECONDS


def _mark(number: str) -> str:
    return sha256(number.encode("utf-8", "surrogatepass")).hexdigest()
