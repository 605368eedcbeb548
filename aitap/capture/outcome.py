"""How an exchange ended: completed, failed and why, cancelled by the client, interrupted by the proxy's end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aitap.capture.errors import body_error, error_message, error_type
from aitap.capture.facts import ErrorFact

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.capture.facts import ResponseFacts
    from aitap.capture.response import MessageBody, ResponseBody
    from aitap.capture.texts import Texts
    from aitap.record import Interception

__all__ = ["Ending", "judge"]

_NO_WORDS = "the provider reported an error"


@dataclass(frozen=True, slots=True)
class Ending:
    """What was seen of the end of an exchange."""

    status: int | None
    """Of the response; None where there was none."""
    body: ResponseBody | MessageBody | None
    failure: str | None
    """Why the connection broke."""
    cancelled: bool
    """The client went first."""
    interrupted: bool
    """The proxy stops with the exchange still open."""


def judge(
    record: Interception, facts: ResponseFacts, ending: Ending, texts: Texts, secrets: Callable[[], frozenset[str]]
) -> None:
    """Write the outcome into a record. ``secrets`` gives the call's own credentials, which an error may repeat."""
    status = ending.status
    error: ErrorFact | None = facts.error
    if status is not None and status >= 400 and ending.body is not None:
        error = error or body_error(ending.body.text())
        error = error if error.message else ErrorFact(message=f"HTTP {status}")
    if error is not None:
        record.outcome = "failed"
        record.error_type = error_type(status, error.type)
        told = error_message(texts.failed(error.message, status), secrets())
        record.error_message = told or (f"HTTP {status}" if (status or 0) >= 400 else _NO_WORDS)
    elif facts.complete:
        record.outcome = "completed"
    elif ending.cancelled:
        record.outcome = "cancelled"
    elif ending.interrupted:
        record.outcome = "interrupted"
    else:
        record.outcome = "failed"
        broken = ending.failure or (ending.body.problem() if ending.body is not None else None)
        record.error_type = (
            "timeout" if "timed out" in (broken or "").lower() else "unknown" if status else "server_error"
        )
        # Redacted before it is cut: half of a secret would not be known.
        told = texts.broken(ending.failure) if ending.failure else broken or "the response ended before it was complete"
        record.error_message = error_message(told, secrets()) or _NO_WORDS
