"""A person's records go everywhere, and nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peewee import Database

from aitap.record import HostSeen, StoredMessage, message_digest
from aitap.storage.audit import Reader, note_reading
from aitap.storage.checks import problems
from aitap.storage.erasure import Erased, erasable_session, erasable_user, erase_session, erase_user
from aitap.storage.groups import add_group, join
from aitap.storage.homes import home_of_database
from aitap.storage.keys import create_key
from aitap.storage.users import ensure_user
from aitap.storage.writer import Writer
from tests.storage.making import ANN, BEN, T0, everything, interception, lineage, prompt, rows, thought, tokens, tool

MARK = "Zwiebelkuchen"
KEPT = "Pflaumenmus"


def done(steps: Iterator[Erased]) -> Erased:
    [*_, last] = steps
    return last


def chain(*texts: str) -> list[StoredMessage]:
    found: list[StoredMessage] = []
    for text in texts:
        parent = found[-1].digest if found else None
        content = f'[{{"type":"text","text":"{text}"}}]'
        digest = message_digest(parent, "user", content.encode())
        found.append(StoredMessage(digest, parent, "user", content, T0))
    return found


SHARED, MINE = chain("shared", MARK * 400)


def record(number: int, initiator: str, word: str, messages: list[StoredMessage], **more: Any) -> Any:
    at = T0 + number
    fields: dict[str, Any] = {
        "initiator_id": initiator,
        "client": "Claude Code",
        "client_session_id": f"session-{initiator[:4]}-{number // 40}",
        "user_prompts": [prompt(f"{word} {number} {word * 100}", at)],
        "token_usages": [tokens(f"msg_{initiator[:4]}_{number}", at)],
        "tool_usages": [tool(f"call_{initiator[:4]}_{number}", f'{{"say": "{word}"}}', at=at)],
        "model_thoughts": [thought(f"{word} indeed", at)],
        "error_message": word,
        "lineage": lineage(history=[f"{initiator[:4]}{number:028x}"]),
        "contents": messages,
        "request_digest": messages[-1].digest,
    }
    return interception(at, **{**fields, **more})


@pytest.fixture
def filled(database: Database) -> Database:
    for own_id, name in ((ANN, f"ann-{MARK}"), (BEN, "ben")):
        ensure_user(database, own_id, name, name=name, email=f"{name}@example.com")
        create_key(database, own_id, name=f"key of {name}")
    writer = Writer(database, flush_interval=0.0)
    writer.start()
    for number in range(220):
        writer.submit(record(number, ANN, MARK, [SHARED, MINE]))
    for number in range(20):
        writer.submit(record(number, BEN, KEPT, [SHARED]))
    for own_id, name in ((ANN, MARK), (BEN, KEPT)):
        writer.seen(HostSeen(host=f"{name.lower()}.example", mode="tunnelled", initiator_id=own_id, at=T0))
    assert writer.flush(60)
    assert writer.close()
    join(database, add_group(database, "bakers")["id"], [ANN, BEN])
    path = f"/api/v2/aibridge/sessions/{ANN}"
    asked: dict[str, Any] = {"api_key_id": None, "address": "10.0.0.1", "path": path}
    note_reading(database, Reader(user_id=BEN, query=f"q=initiator:ann-{MARK}", **asked), {ANN: 3})
    note_reading(database, Reader(user_id=ANN, query="", **{**asked, "path": "/"}), {BEN: 2})
    return database


def test_nothing_names_the_person_or_holds_a_word_of_theirs_and_all_else_is_as_it_was(filled: Database) -> None:
    before = {name: [row for row in found if ANN not in repr(row)] for name, found in everything(filled).items()}
    coming = erasable_user(filled, ANN)
    erased = done(erase_user(filled, ANN))
    assert erased.removed["aibridge_interceptions"] == erased.removed["aibridge_user_prompts"] == 220
    counts = {name: count for name, count in erased.removed.items() if "kind" not in name}
    assert {**{name: coming.removed.get(name, 1) for name in counts}} == counts
    assert (counts["aitap_sessions"], counts["aitap_messages"], counts["users"]) == (6, 1, 1)
    assert (erased.pseudonymised, erased.in_flight) == (1, 0)
    after = everything(filled)
    words = (ANN, MARK.lower())
    named = {name for name, found in after.items() if any(word in repr(found).lower() for word in words)}
    assert named == {"aitap_audit"}, "what they read of others is those others' to know"
    assert [row[1] for row in rows(filled, "SELECT reader_id, subject_id FROM aitap_audit")].count(BEN) == 1
    for table in (
        "aibridge_interceptions",
        "aitap_sessions",
        "aitap_daily_usage",
        "aitap_hosts",
        "aitap_keys",
        "users",
    ):
        assert after[table] == before[table], table
    assert len(after["aitap_messages"]) == 1, "what somebody else refers to stays"
    assert list(problems(filled)) == []
    assert done(erase_user(filled, ANN)).removed == {}


@pytest.mark.sqlite
def test_no_byte_of_it_is_left_in_the_file_or_beside_it(filled: Database, tmp_path: Path) -> None:
    assert any(MARK.encode() in path.read_bytes() for path in tmp_path.glob("aitap.db*"))
    done(erase_user(filled, ANN))
    assert home_of_database(filled).overwrite_deleted(filled) == ""
    files = {path.name: path.read_bytes() for path in tmp_path.glob("aitap.db*")}
    assert files["aitap.db"]
    for name, data in files.items():
        assert MARK.encode() not in data, name
        assert MARK.lower().encode() not in data, name
    assert KEPT.encode() in files["aitap.db"]


def test_writing_goes_on_meanwhile(filled: Database) -> None:
    writer = Writer(filled, flush_interval=0.0)
    writer.start()
    stop = threading.Event()
    sent: list[bool] = []

    def send() -> None:
        while not stop.is_set() or len(sent) < 20:
            sent.append(writer.submit(record(1000 + len(sent), BEN, KEPT, [SHARED])))
            stop.wait(0.002)

    thread = threading.Thread(target=send)
    thread.start()
    done(erase_user(filled, ANN))
    home_of_database(filled).overwrite_deleted(filled)
    stop.set()
    thread.join()
    assert writer.flush(60)
    assert writer.close()
    assert (writer.stats.lost, writer.stats.written) == (0, len(sent))
    assert rows(filled, "SELECT count(*) FROM aibridge_interceptions") == [(20 + len(sent),)]
    assert list(problems(filled)) == []


def test_what_is_in_flight_stays_until_it_has_ended(filled: Database) -> None:
    writer = Writer(filled, flush_interval=0.0)
    writer.start()
    open_record = record(900, ANN, MARK, [SHARED, MINE], ended_at=None, outcome="in_flight", request_digest=None)
    writer.submit(open_record)
    assert writer.flush(60)
    # Some process that is not this one: process 1 lives.
    rows(filled, "UPDATE aitap_proxies SET pid = 1, ended_at = NULL")
    first = done(erase_user(filled, ANN))
    assert (first.in_flight, first.removed["aibridge_interceptions"]) == (1, 220)
    assert rows(filled, "SELECT count(*) FROM users WHERE id = ?", ANN) == [(1,)]
    open_record.ended_at, open_record.outcome = T0 + 901, "completed"
    writer.submit(open_record)
    assert writer.close()
    again = done(erase_user(filled, ANN))
    assert (again.in_flight, again.removed["aibridge_interceptions"], again.removed["users"]) == (0, 1, 1)


def test_a_session_goes_alone_and_the_sums_of_its_days_stay(filled: Database) -> None:
    session = f"session-{ANN[:4]}-1"
    usage = rows(filled, "SELECT sum(interceptions), sum(input_tokens) FROM aitap_daily_usage")
    assert erasable_session(filled, session, ANN).removed["aibridge_interceptions"] == 40
    erased = done(erase_session(filled, session, ANN))
    assert (erased.removed["aibridge_interceptions"], erased.removed["aitap_histories"]) == (40, 40)
    assert rows(filled, "SELECT count(*) FROM aitap_sessions WHERE session_id = ?", session) == [(0,)]
    assert rows(filled, "SELECT count(*) FROM aibridge_interceptions WHERE initiator_id = ?", ANN) == [(180,)]
    assert rows(filled, "SELECT sum(interceptions), sum(input_tokens) FROM aitap_daily_usage") == usage
    assert list(problems(filled)) == []
