"""One session, a page of threads at a time."""

from __future__ import annotations

import pytest
from peewee import Database

from aitap.record import new_id
from aitap.storage.filters import Filter
from aitap.storage.queries import get_session, list_sessions
from aitap.storage.session_page import CursorError, find_sessions, session_token_usages, thread_page
from tests.storage.making import ANN, BEN, T0, Recording, interception, prompt, tokens


def test_pages_are_the_whole_session_in_order(recording: Recording) -> None:
    for number in range(7):
        recording.batch(
            interception(
                T0 + number * 10, client_session_id="s", user_prompts=[prompt(str(number))], token_usages=[tokens()]
            )
        )
    recording.batch(interception(T0 + 5, client_session_id="s", purpose="auxiliary", token_usages=[tokens()]))
    recording.batch(interception(T0 + 99, took=None, client_session_id="s"))
    (session,) = find_sessions(recording.database, "s")
    found = []
    cursor = None
    while page := thread_page(recording.database, session, limit=3, after_id=cursor):
        found += page
        cursor = page[-1]["id"]
    assert [thread["prompt"] for thread in found] == list("0123456")
    whole = get_session(recording.database, "s")
    assert whole is not None
    assert [thread["id"] for thread in found] == [thread["id"] for thread in whole["threads"]][:7]
    assert len(session_token_usages(recording.database, session)) == 8


def test_a_page_before_a_thread_ends_at_it(recording: Recording) -> None:
    records = [interception(T0 + number, client_session_id="s") for number in range(4)]
    recording.batch(*records)
    (session,) = find_sessions(recording.database, "s")
    page = thread_page(recording.database, session, limit=2, before_id=records[3].id)
    assert [thread["id"] for thread in page] == [records[1].id, records[2].id]


def test_a_cursor_of_elsewhere_is_none(recording: Recording) -> None:
    mine, other = interception(client_session_id="s"), interception(client_session_id="t")
    recording.batch(mine, other)
    (session,) = find_sessions(recording.database, "s")
    for cursor in (other.id, new_id()):
        with pytest.raises(CursorError):
            thread_page(recording.database, session, limit=2, after_id=cursor)


def test_sessions_are_found_by_id_or_interception_and_for_one_user_only_theirs(recording: Recording) -> None:
    ann, ben = (interception(initiator_id=who, client_session_id="same") for who in (ANN, BEN))
    recording.batch(ann, ben)
    database: Database = recording.database
    assert len(find_sessions(database, "same")) == 2
    assert [one["initiator"]["id"] for one in find_sessions(database, "same", BEN)] == [BEN]
    assert [one["initiator"]["id"] for one in find_sessions(database, ann.id)] == [ANN]
    assert find_sessions(database, ann.id, BEN) == find_sessions(database, "sam") == []


def test_an_offset_leaves_out_the_newest(recording: Recording) -> None:
    recording.batch(*(interception(T0 + number, client_session_id=str(number)) for number in range(4)))
    found = list_sessions(recording.database, Filter(), limit=2, offset=1)
    assert [one["id"] for one in found] == ["2", "1"]
