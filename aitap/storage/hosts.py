"""Which AI hosts were seen, by whom and when: a small table that the writer keeps.

A row sums up the ended interceptions of one host, provider, user and client, so that the question what
talks to which host costs no pass over all interceptions. Rows go with the retention, by when their host
was last seen; their counts do not: they say what was seen since ``first_seen``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.record import UNKNOWN
from aitap.storage.database import execute_many, rows_of
from aitap.storage.fields import timestamp_text
from aitap.storage.filters import Filter, where
from aitap.storage.models import Host
from aitap.storage.rows import Shape, initiators

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database

    from aitap.record import Interception

__all__ = ["DECRYPTED", "FILTERS", "add_interrupted", "add_seen", "list_hosts"]

DECRYPTED = "decrypted"
"""Mode of a host whose traffic was read."""
FILTERS = ("initiator", "provider", "provider_name", "client", "started_after", "started_before")
"""What hosts can be told apart by, of the keys of a search."""

_KEY = ("host", "mode", "provider", "provider_name", "initiator_id", "client")
_ADD = (
    f"INSERT INTO aitap_hosts ({', '.join(_KEY)}, first_seen, last_seen, interceptions) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET "
    "first_seen = CASE WHEN excluded.first_seen < aitap_hosts.first_seen "
    "THEN excluded.first_seen ELSE aitap_hosts.first_seen END, "
    "last_seen = CASE WHEN excluded.last_seen > aitap_hosts.last_seen "
    "THEN excluded.last_seen ELSE aitap_hosts.last_seen END, "
    "interceptions = aitap_hosts.interceptions + excluded.interceptions"
)
_ONE = (
    f"SELECT host, '{DECRYPTED}', provider, provider_name, initiator_id, coalesce(client, ''), started_at, "
    "started_at, 1 FROM aibridge_interceptions WHERE id = ?"
)


def add_seen(database: Database, records: Iterable[Interception]) -> None:
    """Count ended interceptions, not counted before. Call it inside a transaction."""
    groups: dict[tuple[str, str, str, str, str], list[float]] = {}
    for record in records:
        key = (record.host, record.provider, record.provider_name, record.initiator_id, record.client or "")
        groups.setdefault(key, []).append(record.started_at)
    rows = [
        (host, DECRYPTED, *rest, timestamp_text(min(times)), timestamp_text(max(times)), len(times))
        for (host, *rest), times in groups.items()
    ]
    if rows:
        execute_many(database, _ADD, rows)


def add_interrupted(database: Database, ids: Iterable[str]) -> None:
    """Count stored interceptions that had no end until now. Call it inside a transaction."""
    rows = [row for own_id in ids for row in rows_of(database, _ONE, (own_id,))]
    if rows:
        execute_many(database, _ADD, rows)


def list_hosts(database: Database, filter: Filter) -> list[dict[str, Any]]:
    """The hosts seen: those of unknown providers first, and among each the one seen last.

    The filter's user, client and provider choose what was seen, its times a span in which it was; numbers and
    times are whole all the same. Of several providers of one host, the one seen last is told. Plain dicts
    ready for JSON.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    rows = _rows(database, filter)
    people = initiators(database, {row["initiator_id"]: None for row in rows})
    for row in rows:
        told = ("host", "mode", "provider", "provider_name", "first_seen", "last_seen")
        start = {name: row[name] for name in told} | {"interceptions": 0, "clients": [], "users": []}
        host = found.setdefault((row["host"], row["mode"]), start)
        host["first_seen"] = min(host["first_seen"], row["first_seen"])
        host["interceptions"] += row["interceptions"]
        for name, value in (("clients", row["client"] or "Unknown"), ("users", people[row["initiator_id"]])):
            if value not in host[name]:
                host[name].append(value)
    return sorted(found.values(), key=lambda host: bool(host["provider"] != UNKNOWN))


_HOST = Shape(Host)


def _rows(database: Database, filter: Filter) -> list[dict[str, Any]]:
    """What was seen, newest first."""
    found = [
        getattr(Host, name) == value
        for name in ("initiator_id", "provider", "provider_name")
        if (value := getattr(filter, name)) is not None
    ]
    if filter.client is not None:
        found.append(Host.client << (("", "Unknown") if filter.client == "Unknown" else (filter.client,)))
    if filter.started_after is not None:
        found.append(Host.last_seen >= filter.started_after)
    if filter.started_before is not None:
        found.append(Host.first_seen <= filter.started_before)
    query = where(Host.select(*_HOST.fields), found).order_by(Host.last_seen.desc(), Host.host)
    return [_HOST.dict(row) for row in database.execute(query)]
