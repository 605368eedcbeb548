"""Finds requests that repeat, byte for byte, one that failed.

Only what failed or was given up is remembered, and only for a while: the same words sent again after an
answer are a new request. This is what one process saw; what other proxies saw, and what was before a restart,
the database knows (:mod:`aitap.storage.retries`).
"""

from __future__ import annotations

from aitap.record import RETRIED_WITHIN

__all__ = ["Retries"]

_MOST = 4096


class Retries:
    """Memory of failed requests, by the digest of sender and body; times are epoch seconds."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[str, float]] = {}

    def failed(self, interception_id: str, request: str, at: float) -> None:
        """Remember that this request came to nothing."""
        self._failed.pop(request, None)
        self._failed[request] = interception_id, at
        if len(self._failed) > _MOST:
            del self._failed[next(iter(self._failed))]

    def answered(self, request: str) -> None:
        """Forget that this request failed: it has had its answer, and the same from now on is asked anew."""
        self._failed.pop(request, None)

    def find(self, request: str, at: float) -> str | None:
        """The newest failed interception that this request repeats."""
        interception_id, failed_at = self._failed.get(request, (None, 0.0))
        return interception_id if at - failed_at <= RETRIED_WITHIN else None
