"""An act of administration and its line in the audit: both or none, and nothing in the line that is secret."""

from __future__ import annotations

import peewee
import pytest
from peewee import Database

from aitap.storage.administration import ACTIONS, acting
from aitap.storage.audit import READ, Reader, Readings, list_readings, note_reading
from aitap.storage.users import UserError, add_user, find_user, set_role
from tests.storage.making import ANN, BEN

DOER = Reader(user_id=ANN, api_key_id="key 1", address="10.0.0.1", path="/users", query="")


def add(database: Database) -> None:
    with acting(database, DOER) as act:
        add_user(database, BEN, "ben")
        act.note("user.add", BEN, role="user")


def promote_and_add(database: Database, own_id: str) -> None:
    with acting(database, DOER) as act:
        act.note("user.role", own_id, role="admin", before=set_role(database, own_id, "admin"))
        add_user(database, own_id, "ben")  # there is one already


def test_what_was_done_and_its_line_are_kept_together_or_not_at_all(database: Database) -> None:
    add(database)
    with pytest.raises(UserError):
        promote_and_add(database, BEN)
    [line] = list_readings(database)
    assert (line["reader_id"], line["subject"]["username"], line["action"]) == (ANN, "ben", "user.add")
    assert (line["detail"], line["api_key_id"], line["address"]) == ({"role": "user"}, "key 1", "10.0.0.1")
    found = find_user(database, "ben")
    assert found is not None
    assert found["role"] == "user"


def test_what_cannot_be_put_on_record_is_not_done(database: Database) -> None:
    database.execute_sql("ALTER TABLE aitap_audit RENAME TO aitap_gone")
    with pytest.raises(peewee.DatabaseError, match="aitap_audit"):
        add(database)
    assert find_user(database, "ben") is None
    database.execute_sql("ALTER TABLE aitap_gone RENAME TO aitap_audit")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, {None, "key.create", "key.revoke", "host.observe"}),
        (READ, {None}),
        ("key", {"key.create", "key.revoke"}),
        ("key.revoke", {"key.revoke"}),
        ("ke", set()),
        ("%", set()),
    ],
)
def test_lines_are_asked_for_by_act_by_kind_of_act_or_as_readings(
    database: Database, asked: str | None, found: set[str | None]
) -> None:
    note_reading(database, DOER, {BEN: 2})
    with acting(database, DOER) as act:
        act.note("key.create", BEN, key="k")
        act.note("key.revoke", BEN, key="k")
        act.note("host.observe", host="*.example.com", before=None)
    lines = list_readings(database, Readings(action=asked))
    assert {line["action"] for line in lines} == found
    assert {line["subject"] is None for line in lines if line["action"] == "host.observe"} <= {True}


def test_nothing_done_is_nothing_said(database: Database) -> None:
    with acting(database, DOER):
        pass
    assert list_readings(database) == []
    assert len(set(ACTIONS)) == len(ACTIONS)


def test_pages_go_on_where_they_stopped_while_lines_come_in(database: Database) -> None:
    for number in range(5):
        with acting(database, DOER) as act:
            act.note("group.add", group=f"g{number}")
    first = list_readings(database, limit=2)
    with acting(database, DOER) as act:
        act.note("group.add", group="later")
    rest = list_readings(database, after_id=first[-1]["id"])
    assert [line["detail"]["group"] for line in first + rest] == [f"g{number}" for number in (4, 3, 2, 1, 0)]
