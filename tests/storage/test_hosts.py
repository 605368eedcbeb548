"""Which hosts were seen, by whom, how often."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from peewee import Database

from aitap.record import HostSeen
from aitap.storage.database import rows_of
from aitap.storage.filters import Filter
from aitap.storage.hosts import list_hosts
from aitap.storage.recovery import mark_interrupted
from aitap.storage.retention import prune
from aitap.storage.writer import Writer
from tests.storage.making import ANN, BEN, T0, interception


def write(writer: Writer, *records: Any) -> None:
    for record in records:
        writer.submit(record)
    assert writer.flush(60)


def told(database: Database, **wanted: Any) -> list[tuple[Any, ...]]:
    return [(row["host"], row["interceptions"]) for row in list_hosts(database, Filter(**wanted))]


def test_a_host_is_told_once_with_all_that_was_seen_of_it(database: Database, writer: Writer) -> None:
    write(writer, interception(T0, client="Codex"), interception(T0 + 5, client=None, initiator_id=BEN))
    write(writer, interception(T0 + 9, client="Codex", provider="other", provider_name="newer"))
    (host,) = list_hosts(database, Filter())
    assert {name: host[name] for name in ("host", "mode", "provider", "provider_name", "interceptions")} == {
        "host": "api.anthropic.com",
        "mode": "decrypted",
        "provider": "other",
        "provider_name": "newer",
        "interceptions": 3,
    }
    assert set(host["clients"]) == {"Codex", "Unknown"}
    assert {user["id"] for user in host["users"]} == {ANN, BEN}
    first, last = (datetime.fromisoformat(host[name]).timestamp() for name in ("first_seen", "last_seen"))
    assert (first, last) == (T0, T0 + 9)


def test_hosts_of_unknown_providers_come_first_then_the_newest(database: Database, writer: Writer) -> None:
    write(
        writer,
        interception(T0, host="llm.example.com", provider="unknown"),
        interception(T0 + 1, host="a.example.com"),
        interception(T0 + 2, host="b.example.com"),
    )
    assert told(database) == [("llm.example.com", 1), ("b.example.com", 1), ("a.example.com", 1)]


def test_filters_choose_what_was_seen(database: Database, writer: Writer) -> None:
    write(writer, interception(T0, client="Codex"), interception(T0 + 100, client=None, host="b", initiator_id=BEN))
    at = datetime.fromtimestamp(T0 + 50, UTC)
    first, second = [("api.anthropic.com", 1)], [("b", 1)]
    assert told(database, client="Codex") == told(database, initiator_id=ANN) == first
    assert told(database, client="Unknown") == told(database, started_after=at) == second
    assert told(database, started_before=at) == first
    assert told(database, provider="openai") == told(database, provider_name="x") == []
    assert len(told(database, provider="anthropic")) == 2


def test_an_interception_counts_once_when_it_has_ended(database: Database, writer: Writer) -> None:
    record = interception(took=None)
    write(writer, record)
    assert told(database) == []
    ended = interception(id=record.id)
    write(writer, ended)
    write(writer, ended)
    assert told(database) == [("api.anthropic.com", 1)]


def test_what_a_crash_cut_off_counts_once(database: Database, writer: Writer) -> None:
    write(writer, interception(took=None))
    rows_of(database, "UPDATE aitap_proxies SET pid = 0, ended_at = heartbeat_at")
    assert mark_interrupted(database) == 1
    assert mark_interrupted(database) == 0
    assert told(database) == [("api.anthropic.com", 1)]


def test_a_host_not_seen_since_goes_with_the_retention(database: Database, writer: Writer) -> None:
    write(writer, interception(T0, host="old"), interception(T0, host="kept"), interception(T0 + 100, host="kept"))
    prune(database, T0 + 50)
    assert told(database) == [("kept", 2)]


def sight(at: float = T0, **fields: Any) -> HostSeen:
    values: dict[str, Any] = {"host": "example.com", "mode": "tunnelled", "initiator_id": ANN, "at": at}
    return HostSeen(**{**values, **fields})


def test_a_tunnel_is_told_with_its_counts_and_where_it_came_from(database: Database, writer: Writer) -> None:
    writer.seen(sight(T0, connections=1, bytes_sent=10, client_address="192.0.2.1"))
    writer.seen(sight(T0 + 5, connections=2, bytes_received=300, client_address="192.0.2.2", client="curl"))
    assert writer.flush(60)
    (host,) = list_hosts(database, Filter())
    first, last = (datetime.fromisoformat(host.pop(name)).timestamp() for name in ("first_seen", "last_seen"))
    assert (first, last) == (T0, T0 + 5)
    assert host.pop("users")[0]["id"] == ANN
    assert host == {
        "host": "example.com",
        "mode": "tunnelled",
        "provider": None,
        "provider_name": None,
        "error": None,
        "interceptions": 0,
        "connections": 3,
        "bytes_sent": 10,
        "bytes_received": 300,
        "refusals": 0,
        "clients": ["curl", "Unknown"],
        "addresses": ["192.0.2.2", "192.0.2.1"],
    }


def test_a_refusal_is_told_with_the_host_whose_calls_were_read(database: Database, writer: Writer) -> None:
    """The newest error counts, and one that names none does not hide it."""
    write(writer, interception(T0))
    place = {"host": "api.anthropic.com", "mode": "decrypted", "provider": "anthropic", "provider_name": "anthropic"}
    for error in ("bad certificate", "unknown ca", ""):
        writer.seen(sight(T0, refusals=1, error=error, **place))
    assert writer.flush(60)
    (host,) = list_hosts(database, Filter())
    assert (host["interceptions"], host["refusals"], host["error"]) == (1, 3, "unknown ca")


def test_one_host_is_told_once_for_each_mode_and_tunnels_last(database: Database, writer: Writer) -> None:
    writer.seen(sight(T0 + 9))
    writer.seen(sight(T0 + 5, host="api.anthropic.com", mode="observed", provider="anthropic"))
    write(writer, interception(T0), interception(T0 - 5, host="llm", provider="unknown"))
    assert [(host["host"], host["mode"]) for host in list_hosts(database, Filter())] == [
        ("llm", "decrypted"),
        ("api.anthropic.com", "observed"),
        ("api.anthropic.com", "decrypted"),
        ("example.com", "tunnelled"),
    ]
    assert [host["host"] for host in list_hosts(database, Filter(), "tunnelled")] == ["example.com"]
    assert [host["host"] for host in list_hosts(database, Filter(initiator_id=BEN))] == []


def test_a_tunnel_not_seen_since_goes_with_the_retention(database: Database, writer: Writer) -> None:
    writer.seen(sight(T0, host="old"))
    writer.seen(sight(T0 + 100, host="kept"))
    assert writer.flush(60)
    prune(database, T0 + 50)
    assert told(database) == [("kept", 0)]
