"""Which interceptions are meant: the filter that every query, export and page takes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from peewee import SQL

from aitap.storage.fields import is_uuid
from aitap.storage.models import Interception, Kind

__all__ = ["Filter", "conditions", "kind_conditions", "where"]


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which interceptions are meant; ``None`` means any. Equality is exact, both times are inclusive."""

    initiator_id: str | None = None
    provider: str | None = None
    provider_name: str | None = None
    model: str | None = None
    client: str | None = None
    """``Unknown`` also finds records without a client."""
    session_id: str | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None
    ended: bool = False
    """Only what has ended, as the reference's lists have it."""


def conditions(filter: Filter) -> list[Any]:
    """What the filter asks of a row of ``aibridge_interceptions``, one expression for each thing it asks."""
    found: list[Any] = [
        getattr(Interception, name) == value
        for name in ("initiator_id", "provider", "provider_name", "model", "session_id")
        if (value := getattr(filter, name)) is not None
    ]
    if filter.initiator_id is not None and not is_uuid(filter.initiator_id):
        found = [SQL("1 = 0")]
    if filter.client == "Unknown":
        found.append((Interception.client == "Unknown") | Interception.client.is_null())
    elif filter.client is not None:
        found.append(Interception.client == filter.client)
    if filter.started_after is not None:
        found.append(Interception.started_at >= filter.started_after)
    if filter.started_before is not None:
        found.append(Interception.started_at <= filter.started_before)
    if filter.ended:
        found.append(Interception.ended_at.is_null(is_null=False))
    return found


def kind_conditions(filter: Filter) -> list[Any]:
    """What the filter asks of a row of ``aitap_kinds``; nothing where every kind will do."""
    found: list[Any] = [
        getattr(Kind, name) == value
        for name in ("initiator_id", "provider", "provider_name", "model")
        if (value := getattr(filter, name)) is not None
    ]
    if filter.initiator_id is not None and not is_uuid(filter.initiator_id):
        found = [SQL("1 = 0")]
    if filter.client is not None:
        found.append(Kind.client.in_(("", "Unknown") if filter.client == "Unknown" else (filter.client,)))
    return found


def where(query: Any, found: list[Any]) -> Any:
    """The query under these conditions, of which there may be none."""
    return query.where(*found) if found else query
