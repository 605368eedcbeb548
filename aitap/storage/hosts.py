"""Which hosts were seen, by whom and when: a small table that the writer keeps.

A row sums up what one user's client did with one host: the ended interceptions, so that the question what
talks to which AI host costs no pass over all of them, and the tunnels, of which nothing else is known. Rows
go with the retention, by when their host was last seen; their counts do not: they say what was seen since
``first_seen``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.record import UNKNOWN
from aitap.storage.database import execute_many, question_marks, rows_of
from aitap.storage.fields import timestamp_text
from aitap.storage.filters import Filter, where
from aitap.storage.models import Host
from aitap.storage.rows import Shape, initiators

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database

    from aitap.record import HostMode, HostSeen, Interception

__all__ = ["DECRYPTED", "FILTERS", "Sightings", "add_ended", "add_interrupted", "list_hosts"]

DECRYPTED = "decrypted"
"""Mode of a host whose traffic was read."""
FILTERS = ("initiator", "provider", "provider_name", "client", "started_after", "started_before")
"""What hosts can be told apart by, of the keys of a search."""

_KEY = ("host", "mode", "provider", "provider_name", "initiator_id", "client", "client_address")
_COUNTS = ("interceptions", "connections", "bytes_sent", "bytes_received", "refusals")
_COLUMNS = (*_KEY, "first_seen", "last_seen", *_COUNTS, "error")
_ADD = (
    f"INSERT INTO aitap_hosts ({', '.join(_COLUMNS)}) VALUES {question_marks(len(_COLUMNS))} "
    f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET "
    "first_seen = CASE WHEN excluded.first_seen < aitap_hosts.first_seen "
    "THEN excluded.first_seen ELSE aitap_hosts.first_seen END, "
    "last_seen = CASE WHEN excluded.last_seen > aitap_hosts.last_seen "
    "THEN excluded.last_seen ELSE aitap_hosts.last_seen END, "
    f"{', '.join(f'{count} = aitap_hosts.{count} + excluded.{count}' for count in _COUNTS)}, "
    "error = CASE WHEN excluded.error <> '' THEN excluded.error ELSE aitap_hosts.error END"
)
_ONE = (
    f"SELECT host, '{DECRYPTED}', provider, provider_name, initiator_id, coalesce(client, ''), '', started_at, "
    "started_at, 1, 0, 0, 0, 0, '' FROM aibridge_interceptions WHERE id = ?"
)


def add_ended(database: Database, records: Iterable[Interception]) -> None:
    """Count ended interceptions, not counted before. Call it inside a transaction."""
    groups: dict[tuple[str, str, str, str, str], list[float]] = {}
    for record in records:
        key = (record.host, record.provider, record.provider_name, record.initiator_id, record.client or "")
        groups.setdefault(key, []).append(record.started_at)
    rows = [
        (host, DECRYPTED, *rest, "", timestamp_text(min(times)), timestamp_text(max(times)), len(times), 0, 0, 0, 0, "")
        for (host, *rest), times in groups.items()
    ]
    if rows:
        execute_many(database, _ADD, rows)


def add_interrupted(database: Database, ids: Iterable[str]) -> None:
    """Count stored interceptions that had no end until now. Call it inside a transaction."""
    rows = [row for own_id in ids for row in rows_of(database, _ONE, (own_id,))]
    if rows:
        execute_many(database, _ADD, rows)


class Sightings:
    """What was seen beside interceptions and is not stored yet, summed up: a busy tunnel takes no more room."""

    def __init__(self) -> None:
        self.keys: dict[str, float] = {}
        """When each proxy key was last shown, by its id."""
        self._found: dict[tuple[str, ...], list[Any]] = {}

    def __len__(self) -> int:
        """Rows that they take, which is what the bound of their number counts."""
        return len(self._found)

    def add(self, seen: HostSeen) -> None:
        """Count one more."""
        key = _key(seen)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = [seen.at, seen.at, 0, 0, 0, 0, ""]
        found[0] = min(found[0], seen.at)
        found[1] = max(found[1], seen.at)
        found[2] += seen.connections
        found[3] += seen.bytes_sent
        found[4] += seen.bytes_received
        found[5] += seen.refusals
        found[6] = seen.error or found[6]
        if seen.api_key_id is not None:
            self.keys[seen.api_key_id] = max(seen.at, self.keys.get(seen.api_key_id, 0.0))

    def has_place_for(self, seen: HostSeen, limit: int) -> bool:
        """Whether at most ``limit`` rows will do with this one."""
        return len(self._found) < limit or _key(seen) in self._found

    def halves(self) -> list[Sightings]:
        """The same in two parts, without the keys."""
        items = list(self._found.items())
        middle = len(items) // 2
        parts = [Sightings(), Sightings()]
        for part, some in zip(parts, (items[:middle], items[middle:]), strict=True):
            part._found = dict(some)
        return parts

    def write(self, database: Database) -> None:
        """Add all to what is stored. Call it inside a transaction."""
        rows = [
            (*key, timestamp_text(first), timestamp_text(last), 0, *counts)
            for key, (first, last, *counts) in self._found.items()
        ]
        if rows:
            execute_many(database, _ADD, rows)


def _key(seen: HostSeen) -> tuple[str, ...]:
    return (
        seen.host,
        seen.mode,
        seen.provider,
        seen.provider_name,
        seen.initiator_id,
        seen.client,
        seen.client_address,
    )


def list_hosts(database: Database, filter: Filter, mode: HostMode | None = None) -> list[dict[str, Any]]:
    """The hosts seen: those of unknown providers first, tunnels last, and among each the one seen last.

    The filter's user, client and provider choose what was seen, its times a span in which it was; numbers and
    times are whole all the same. A host is told once for each mode, or for this one alone. Of several providers
    of one host, the one seen last is told. Plain dicts ready for JSON.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    rows = _rows(database, filter, mode)
    people = initiators(database, {row["initiator_id"]: None for row in rows})
    for row in rows:
        start = {name: row[name] for name in _TOLD} | dict.fromkeys(_COUNTS, 0)
        host = found.setdefault((row["host"], row["mode"]), {**start, "clients": [], "users": [], "addresses": []})
        host["first_seen"] = min(host["first_seen"], row["first_seen"])
        host["error"] = host["error"] or row["error"]
        for name in _COUNTS:
            host[name] += row[name]
        for name, value in (
            ("clients", row["client"] or "Unknown"),
            ("users", people[row["initiator_id"]]),
            ("addresses", row["client_address"]),
        ):
            if value and value not in host[name]:
                host[name].append(value)
    return sorted(found.values(), key=_rank)


def _rank(host: dict[str, Any]) -> int:
    return 0 if host["provider"] == UNKNOWN else 2 if host["mode"] == "tunnelled" else 1


_TOLD = ("host", "mode", "provider", "provider_name", "first_seen", "last_seen", "error")
_HOST = Shape(Host, empty_is_unknown=("provider", "provider_name", "error"))


def _rows(database: Database, filter: Filter, mode: HostMode | None) -> list[dict[str, Any]]:
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
    if mode is not None:
        found.append(Host.mode == mode)
    query = where(Host.select(*_HOST.fields), found).order_by(Host.last_seen.desc(), Host.host)
    return [_HOST.dict(row) for row in database.execute(query)]
