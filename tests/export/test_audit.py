"""``aitap audit list``: who was shown whose records, and that it is forgotten in its time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from aitap.access.identity import user_id
from aitap.storage.audit import Reader, note_reading
from aitap.storage.database import execute_many, open_database
from aitap.storage.fields import timestamp_text
from aitap.storage.users import add_user
from tests.export.conftest import Invoke
from tests.export.terminal import on_terminal

PEOPLE = ("ann", "ben", "carol")
DAY = 86400.0


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Carol read of ann and ben ten days, one day and no days ago; ann of ben two years ago."""
    found = f"sqlite:///{tmp_path}/own.db"
    database = open_database(found, migrate=True)
    for name in PEOPLE:
        add_user(database, user_id(name), name)
    for reader, age, subjects in (
        ("ann", 730, {"ben": 9}),
        ("carol", 10, {"ann": 1, "ben": 2}),
        ("carol", 1, {"ann": 3}),
        ("carol", 0, {"ben": 4}),
    ):
        who = Reader(user_id=user_id(reader), api_key_id=None, address="10.1.2.3", path="/p", query="q=x")
        note_reading(database, who, {user_id(name): count for name, count in subjects.items()})
        sql = "UPDATE aitap_audit SET read_at = ? WHERE records = ?"
        at = timestamp_text(time.time() - age * DAY)
        execute_many(database, sql, [(at, count) for count in subjects.values()])
    database.close()
    return found


def listed(invoke: Invoke, url: str, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(invoke("audit", "list", "--database-url", url, *options).stdout)
    return found


@pytest.mark.parametrize(
    ("options", "records"),
    [
        ([], [4, 3, 1, 2, 9]),
        (["--reader", "carol"], [4, 3, 1, 2]),
        (["--subject", "ben"], [4, 2, 9]),
        (["--subject", user_id("ben"), "--reader", "ann"], [9]),
        (["--read-after", "2d"], [4, 3]),
        (["--read-before", "2d", "--reader", "carol"], [1, 2]),
        (["--limit", "2"], [4, 3]),
        (["--subject", "me"], []),
    ],
)
def test_it_finds_who_read_whose_records_when(invoke: Invoke, url: str, options: list[str], records: list[int]) -> None:
    found = listed(invoke, url, *options)
    assert [sorted([row["records"] for row in found])] == [sorted(records)]
    assert [row["read_at"] for row in found] == sorted((row["read_at"] for row in found), reverse=True)


def test_pages_put_together_are_the_list(invoke: Invoke, url: str) -> None:
    whole = [row["id"] for row in listed(invoke, url)]
    paged: list[str] = []
    while page := listed(invoke, url, "--limit", "2", *(["--after-id", paged[-1]] if paged else [])):
        paged += [row["id"] for row in page]
    assert paged == whole


def test_a_line_says_who_what_and_from_where(invoke: Invoke, url: str) -> None:
    row = listed(invoke, url, "--limit", "1")[0]
    assert (row["reader"]["username"], row["subject"]["username"]) == ("carol", "ben")
    assert (row["address"], row["path"], row["query"], row["api_key_id"]) == ("10.1.2.3", "/p", "q=x", None)


def test_what_cannot_be_meant_is_one_line(invoke: Invoke, url: str) -> None:
    for options, status, words in (
        (["--reader", "nobody"], 2, "does not exist"),
        (["--read-after", "yesterday"], 2, "neither a time"),
        (["--after-id", "x"], 1, "reading 'x' not found"),
    ):
        assert words in invoke("audit", "list", "--database-url", url, *options, status=status).stderr


def test_lines_go_after_their_own_time_with_everything_else_that_goes(
    invoke: Invoke, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year unless the setting says otherwise; 0 keeps them."""
    monkeypatch.setenv("AITAP_AUDIT_RETENTION", "0")
    invoke("prune", "--database-url", url)
    assert len(listed(invoke, url)) == 5
    monkeypatch.delenv("AITAP_AUDIT_RETENTION")
    dry = invoke("prune", "--dry-run", "--database-url", url).stdout
    assert "1 line of the audit from before" in dry
    assert len(listed(invoke, url)) == 5
    assert "1 line of the audit from before" in invoke("prune", "--database-url", url).stdout
    assert len(listed(invoke, url)) == 4
    invoke("prune", "--audit-older-than", "2d", "--database-url", url)
    assert [row["records"] for row in listed(invoke, url)] == [4, 3]


@pytest.mark.parametrize("width", [60, 120])
def test_a_person_sees_a_table_that_fits(url: str, width: int) -> None:
    pytest.importorskip("pty")
    status, screen = on_terminal(width, "audit", "list", AITAP_DATABASE_URL=url)
    lines = screen.splitlines()
    assert status == 0
    assert lines[0].split()[:4] == ["WHEN", "READER", "OF", "RECORDS"]
    assert "carol" in lines[1]
    assert max(map(len, lines)) <= width
