"""Proxy keys of our own, found by their digest in the directory's snapshot.

Any username goes with a key: people write their own name, the reference's clients write ``coder``.
"""

from __future__ import annotations

import hmac
import math
import re
import time
from hashlib import sha256
from typing import TYPE_CHECKING

from aitap.access.authentication.sources import Answer, Grant, Reason, Refusal
from aitap.access.identity import Identity

if TYPE_CHECKING:
    from aitap.access.authentication.credentials import Credentials
    from aitap.access.authentication.directory import Directory

__all__ = ["ProxyKeys"]

_SHAPE = re.compile(r"aitap_[A-Za-z0-9_-]{43}")
PREFIX = "aitap_"


class ProxyKeys:
    """A :class:`aitap.access.authentication.sources.Source`."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        # One grant for all connections of a key: who looks whether it still holds, looks once.
        self._grants: dict[str, Grant] = {}
        directory.on_change.append(self._grants.clear)

    def known(self, credentials: Credentials) -> Answer | None:
        """What the snapshot says; None for what is not in it."""
        secret = credentials.secret
        if not secret.startswith(PREFIX):
            return None
        digest = sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        key = self._directory.keys.get(digest)
        # The digest found it already; comparing anew costs nothing and does not end at the first difference.
        if key is None or not hmac.compare_digest(key.digest, digest):
            return Refusal("revoked") if digest in self._directory.gone else None
        until = math.inf if key.expires_at is None else key.expires_at
        if until <= time.time():
            return Refusal("expired")
        grant = self._grants.get(digest)
        if grant is None:
            identity = Identity(key.user_id, key.username, "key", key.id)
            grant = self._grants[digest] = Grant(identity, self, until, digest)
        return grant

    def can_look_up(self, credentials: Credentials) -> bool:
        """Whether it looks like a key: it may have been made a moment ago."""
        return _SHAPE.fullmatch(credentials.secret) is not None

    async def look_up(self, credentials: Credentials) -> Answer | None:
        """Ask the database whether anything is new."""
        await self._directory.refresh()
        return self.known(credentials)

    def withdrawn(self, grant: Grant) -> Reason | None:
        """Revoked, expired, or its user removed."""
        key = self._directory.keys.get(grant.handle)
        if key is None:
            return "revoked"
        return "expired" if key.expires_at is not None and key.expires_at <= time.time() else None
