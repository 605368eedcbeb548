"""Which interceptions are meant: the filter that every query, export and page takes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import msgspec
from peewee import SQL, NodeList, Value

from aitap.storage.fields import is_uuid, timestamp_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "NOTHING",
    "Filter",
    "Term",
    "all_of",
    "conditions",
    "kind_terms",
    "stored",
    "terms",
    "times",
    "where",
]


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


class Term(NamedTuple):
    """A condition as text. For Peewee, to put a page's statements together costs as much as the page's rows."""

    sql: str
    """With ``?`` for each of the values; names of columns stand by themselves."""
    values: tuple[Any, ...] = ()


NOTHING = Term("1 = 0")


@overload
def stored(moment: datetime) -> str: ...
@overload
def stored(moment: None) -> None: ...
def stored(moment: datetime | None) -> str | None:
    """A moment as it is stored."""
    return None if moment is None else timestamp_text(moment.timestamp())


def all_of(found: Sequence[Term]) -> Term:
    """All of these conditions, of which there may be none, as one."""
    return Term(" AND ".join(term.sql for term in found) or "1 = 1", tuple(v for term in found for v in term.values))


def terms(filter: Filter) -> list[Term]:
    """What the filter asks of a row of ``aibridge_interceptions``, a condition for each thing it asks."""
    found = _equal(filter, ("initiator_id", "provider", "provider_name", "model", "session_id"))
    if filter.client == "Unknown":
        found.append(Term("(client = 'Unknown' OR client IS NULL)"))
    elif filter.client is not None:
        found.append(Term("client = ?", (filter.client,)))
    found += times(filter)
    if filter.ended:
        found.append(Term("ended_at IS NOT NULL"))
    return found


def times(filter: Filter) -> list[Term]:
    """What the filter asks of ``started_at`` alone."""
    ends = ((">=", filter.started_after), ("<=", filter.started_before))
    return [Term(f"started_at {compare} ?", (stored(at),)) for compare, at in ends if at is not None]


def kind_terms(filter: Filter) -> list[Term]:
    """What the filter asks of a row of ``aitap_kinds``; nothing where every kind will do."""
    found = _equal(filter, ("initiator_id", "provider", "provider_name", "model"))
    if filter.client == "Unknown":
        found.append(Term("client IN ('', 'Unknown')"))
    elif filter.client is not None:
        found.append(Term("client = ?", (filter.client,)))
    return found


def _equal(filter: Filter, names: Sequence[str]) -> list[Term]:
    if filter.initiator_id is not None and not is_uuid(filter.initiator_id):
        return [NOTHING]
    found = ((name, getattr(filter, name)) for name in names)
    return [Term(f"{name} = ?", (value,)) for name, value in found if value is not None]


def conditions(filter: Filter) -> list[Any]:
    """The same as :func:`terms`, for Peewee's statements of this table alone."""
    return [_expression(term) for term in terms(filter)]


def _expression(term: Term) -> Any:
    first, *more = term.sql.split("?")
    nodes: list[Any] = [SQL(first)]
    for value, text in zip(term.values, more, strict=True):
        nodes += [Value(value), SQL(text)]
    return NodeList(nodes, glue="")


def where(query: Any, found: list[Any]) -> Any:
    """The query under these conditions, of which there may be none."""
    return query.where(*found) if found else query
