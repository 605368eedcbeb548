"""Finds requests that repeat, byte for byte, one that failed.

Only what failed or was given up is remembered, and only for a while: the same words sent again after an
answer are a new request. Digests are taken of bodies that have a chance to match (same sender, same
length), so that the common request costs a dictionary look-up.
"""

from __future__ import annotations

from collections import OrderedDict

from aitap.capture.history import body_digest

__all__ = ["Retries"]

_WINDOW = 600.0
_MOST = 4096


class Retries:
    """Memory of failed requests; ``scope`` names the sender, times are epoch seconds."""

    def __init__(self) -> None:
        self._failed: OrderedDict[tuple[str, int], list[tuple[str, str, float]]] = OrderedDict()

    def failed(self, interception_id: str, scope: str, body: bytes, at: float) -> None:
        """Remember that this request came to nothing."""
        if not body:
            return
        entries = self._failed.setdefault((scope, len(body)), [])
        entries.append((body_digest(scope, body), interception_id, at))
        del entries[:-8]
        self._failed.move_to_end((scope, len(body)))
        if len(self._failed) > _MOST:
            self._failed.popitem(last=False)

    def answered(self, scope: str, body: bytes) -> None:
        """Forget that this request failed: it has had its answer, and the same from now on is asked anew."""
        entries = self._failed.get((scope, len(body)))
        if entries:
            digest = body_digest(scope, body)
            entries[:] = [entry for entry in entries if entry[0] != digest]

    def find(self, scope: str, body: bytes, at: float) -> str | None:
        """The newest failed interception that this body repeats."""
        entries = self._failed.get((scope, len(body)))
        if not entries:
            return None
        digest = body_digest(scope, body)
        for known, interception_id, failed_at in reversed(entries):
            if known == digest and at - failed_at <= _WINDOW:
                return interception_id
        return None
