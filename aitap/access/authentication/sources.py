"""Where identities come from: what every source of them promises, and what it answers.

A source answers from memory where it can (:meth:`Source.known`), for that runs on the event loop with every
connection; what it must ask a file, a database or another server for, it asks in :meth:`Source.look_up`.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from aitap.access.authentication.credentials import Credentials
    from aitap.access.identity import Identity

__all__ = ["REASONS", "Answer", "Grant", "Reason", "Refusal", "Source"]

Reason = Literal["missing", "wrong", "expired", "revoked", "backoff", "unreachable"]
REASONS: tuple[Reason, ...] = ("missing", "wrong", "expired", "revoked", "backoff", "unreachable")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Grant:
    """Somebody may use the proxy, for as long as the source says so."""

    identity: Identity
    source: Source
    until: float = math.inf
    """Epoch seconds from which on it is good for nothing."""
    handle: Any = dataclasses.field(default=None, repr=False)
    """By what the source knows it again; never a secret."""


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody may not."""

    reason: Reason
    retry_after: int = 0
    """Seconds after which it is worth another try; 0 where time does not help."""


Answer = Grant | Refusal


class Source(Protocol):
    """One place that knows people."""

    def known(self, credentials: Credentials) -> Answer | None:
        """The answer there is in memory, in microseconds; None where it would have to be looked up."""
        ...

    def can_look_up(self, credentials: Credentials) -> bool:
        """Whether :meth:`look_up` could find these at all."""
        ...

    async def look_up(self, credentials: Credentials) -> Answer | None:
        """Find out, off the event loop; None where they are none of this source's."""
        ...

    def withdrawn(self, grant: Grant) -> Reason | None:
        """Why a grant of this source holds no longer, None while it does. Asked about once a second while in use."""
        ...
