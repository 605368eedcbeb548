"""The values that are compared: token counts, calls, and the names of models."""

from __future__ import annotations

import re

import msgspec

__all__ = ["COUNTERS", "LoggedCall", "RecordedCall", "Tokens", "plain_model"]

COUNTERS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")

_DATE = re.compile(r"[-@ ]?(?:20\d{6}|20\d\d-\d\d-\d\d)(?:-v\d+(?::\d+)?)?$|-latest$")


class Tokens(msgspec.Struct, frozen=True):
    """Counts as a record has them: input is what no cache was read for or written."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(*(getattr(self, name) + getattr(other, name) for name in COUNTERS))

    def less(self, other: Tokens) -> dict[str, int]:
        """By how much this is more than the other, for each count that differs."""
        found = {name: getattr(self, name) - getattr(other, name) for name in COUNTERS}
        return {name: difference for name, difference in found.items() if difference}

    @property
    def total(self) -> int:
        """All of them."""
        return sum(getattr(self, name) for name in COUNTERS)


class LoggedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a model as a client's session log tells it."""

    client: str
    session_id: str
    at: float
    """When the log says that the answer came, epoch seconds."""
    model: str
    response_id: str = ""
    """The provider's name for the answer; empty where the log does not keep it. So is ``request_id``."""
    request_id: str = ""
    tokens: Tokens


class RecordedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a model as it is recorded."""

    id: str
    initiator_id: str
    client: str
    session_id: str
    """The client's own; empty where it sent none."""
    at: float
    ended_at: float | None
    model: str
    provider_model: str
    response_id: str
    request_id: str
    purpose: str
    outcome: str
    retry_of: str
    tokens: Tokens | None
    """None where the provider told no usage."""
    partial: bool = False
    """The counts are those of a stream that was cut."""


def plain_model(name: str) -> str:
    """A model's name by which ours, a client's and an invoice's can be compared.

    ``Claude Haiku 4.5``, ``claude-haiku-4-5-20251001`` and ``claude-haiku-4-5`` are one.
    """
    plain = re.sub(r"[ .]", "-", name.strip().lower().rpartition("/")[2])
    return _DATE.sub("", plain) or "unknown"
