"""``aitap audit list``: who was shown whose records, who changed what, and that it is forgotten in its time."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Any

import pytest

from aitap.access.identity import local_user, user_id
from aitap.storage.audit import Reader, note_reading
from aitap.storage.database import execute_many, open_database, rows_of
from aitap.storage.fields import timestamp_text
from aitap.storage.keys import key_digest
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
        (["--action", "read", "--limit", "1"], [4]),
        (["--action", "key"], []),
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
        (["--action", "keys"], 2, "write read, user, key"),
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
    assert [row["records"] for row in listed(invoke, url, "--action", "read")] == [4, 3]
    [line] = listed(invoke, url, "--action", "records")
    assert line["detail"] == {"older_than": {"audit": "172800s"}}, "that somebody made it forget is not forgotten"


def test_whoever_changes_something_by_a_command_is_on_record(invoke: Invoke, url: str) -> None:
    """Each with who, what, to whom, by which command, on which machine."""

    def run(*args: str) -> str:
        return invoke(*args, "--database-url", url).stdout

    dan = user_id("dan")
    run("users", "add", "dan", "--role", "auditor")
    key = json.loads(run("keys", "create", "--user", "dan", "--expires", "30d"))
    run("keys", "revoke", key["id"], "--in", "1d")
    run("keys", "revoke", key["id"])
    run("keys", "revoke", key["id"])  # it was before: nothing is done
    run("users", "role", "dan", "admin")
    run("groups", "add", "team")
    run("groups", "join", "team", "dan", "ann")
    run("groups", "join", "team", "dan")
    run("groups", "leave", "team", "ann")
    run("budgets", "set", "--group", "team", "--usd", "50")
    run("budgets", "set", "--group", "team", "--usd", "60", "--enforce")
    run("budgets", "set", "--user", "dan", "--tokens", "5m")
    run("budgets", "remove", json.loads(run("budgets", "list"))[0]["id"])
    run("groups", "remove", "team")
    run("hosts", "observe", "*.example.com")
    run("hosts", "decrypt", "*.example.com")
    run("hosts", "reset", "*.example.com", "other.example.com")
    run("users", "remove", "dan")
    run("keys", "create", "--user", "dan", "--create-user")
    lines = listed(invoke, url, "--reader", "me")[::-1]
    done = [(line["action"], line["subject"] and line["subject"]["username"], line["path"]) for line in lines]
    assert done[:9] == [
        ("user.add", "dan", "aitap users add"),
        ("key.create", "dan", "aitap keys create"),
        ("key.expire", "dan", "aitap keys revoke"),
        ("key.revoke", "dan", "aitap keys revoke"),
        ("user.role", "dan", "aitap users role"),
        ("group.add", None, "aitap groups add"),
        ("group.join", "dan", "aitap groups join"),
        ("group.join", "ann", "aitap groups join"),
        ("group.leave", "ann", "aitap groups leave"),
    ]
    assert [act for act, _, _ in done[9:12]] == ["budget.set"] * 3
    assert [act for act, _, _ in done[12:]] == [
        *("budget.remove", "group.remove", "host.observe", "host.decrypt", "host.reset"),
        *("user.remove", "user.restore", "key.create"),
    ]
    details = [line["detail"] for line in lines]
    assert details[0] == {"role": "auditor"}
    assert details[1] == {"key": key["id"], "expires_at": key["expires_at"]}
    assert details[4] == {"role": "admin", "before": "auditor"}
    assert (details[9]["before"], details[10]["before"]) == (None, 50_000_000)
    assert (details[10]["amount"], details[10]["group"], details[10]["mode"]) == (60_000_000, "team", "enforce")
    assert details[15] == {"host": "*.example.com", "before": "observe"}
    assert {(line["reader_id"], line["address"]) for line in lines} == {(local_user()[0], platform.node())}
    assert {line["subject_id"] for line in lines} >= {dan}


def test_who_adds_themselves_is_named_too(invoke: Invoke, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    own_id, name = local_user()
    invoke("users", "add", name, "--role", "admin", "--database-url", url)
    [line] = listed(invoke, url)
    assert (line["reader"]["username"], line["subject"]["username"], line["subject_id"]) == (name, name, own_id)


def test_no_key_nor_any_part_of_one_is_in_the_audit(invoke: Invoke, url: str) -> None:
    made = json.loads(invoke("keys", "create", "--user", "ann", "--name", "laptop", "--database-url", url).stdout)
    invoke("keys", "revoke", made["id"], "--database-url", url)
    database = open_database(url)
    told = repr(rows_of(database, "SELECT * FROM aitap_audit"))
    database.close()
    assert made["id"] in told
    for secret in (made["key"], key_digest(made["key"]), f"'{made['hint']}'", f'"{made["hint"]}"', "laptop"):
        assert secret not in told


def test_who_erases_is_on_record_without_whom(invoke: Invoke, url: str) -> None:
    """And nothing is left of what was done to the person but that it was done."""
    invoke("users", "role", "ben", "auditor", "--database-url", url)
    invoke("erase", "--user", "ben", "--yes", "--database-url", url)
    ben = user_id("ben")
    lines = listed(invoke, url)
    assert ben not in json.dumps(lines)
    [erased] = [line for line in lines if line["action"] == "records.erase"]
    [promoted] = [line for line in lines if line["action"] == "user.role"]
    assert erased["reader_id"] == promoted["reader_id"] == local_user()[0]
    assert erased["subject_id"] == promoted["subject_id"], "one pseudonym, so that what belongs together still does"
    assert promoted["detail"] is None


@pytest.mark.parametrize("width", [60, 120])
def test_a_person_sees_a_table_that_fits(url: str, width: int) -> None:
    pytest.importorskip("pty")
    status, screen = on_terminal(width, "audit", "list", AITAP_DATABASE_URL=url)
    lines = screen.splitlines()
    assert status == 0
    assert lines[0].split()[:4] == ["WHEN", "WHO", "DID", "TO"]
    assert "carol" in lines[1]
    assert "read 4" in lines[1]
    assert max(map(len, lines)) <= width
