"""``aitap users`` and ``aitap keys``."""

from __future__ import annotations

import hmac
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aitap.access.identity import local_user, user_id
from aitap.storage.database import open_database
from aitap.storage.directory import Snapshot, read_directory
from aitap.storage.keys import key_digest
from tests.export import sample
from tests.export.conftest import Invoke
from tests.export.terminal import on_terminal


class Place:
    """A database of one's own, that nobody has made yet, and commands that work on it."""

    def __init__(self, invoke: Invoke, url: str) -> None:
        self.invoke = invoke
        self.url = url

    def run(self, *args: str, status: int = 0) -> str:
        result = self.invoke("--database-url", self.url, *args, status=status)
        return str(result.stderr if status else result.stdout)

    def json(self, *args: str) -> Any:
        return json.loads(self.run(*args))

    def directory(self) -> Snapshot:
        database = open_database(self.url)
        found = read_directory(database)
        database.close()
        return found


@pytest.fixture
def place(invoke: Invoke, tmp_path: Path) -> Place:
    return Place(invoke, f"sqlite:///{tmp_path}/own/records.db")


def test_the_way_from_nothing_to_a_key(place: Place) -> None:
    """Two commands, before any proxy ran."""
    added = place.json("users", "add", "alice", "--name", "Alice Example", "--email", "alice@example.com")
    assert (added["id"], added["username"], added["name"]) == (user_id("alice"), "alice", "Alice Example")
    made = place.json("keys", "create", "--user", "alice", "--name", "laptop")
    assert (made["name"], made["state"], made["expires_at"]) == ("laptop", "live", None)
    assert made["user"]["username"] == "alice"
    assert made["https_proxy"] == f"http://alice:{made['key']}@127.0.0.1:8080"
    usable = place.directory().keys[key_digest(made["key"])]
    assert hmac.compare_digest(usable.digest, key_digest(made["key"]))
    assert (usable.id, usable.username) == (made["id"], "alice")


def test_the_key_is_shown_once(place: Place) -> None:
    made = place.json("keys", "create", "--user", "alice", "--create-user")
    shown = place.run("keys", "list") + place.run("users", "list") + place.run("keys", "revoke", made["id"])
    assert made["key"] not in shown
    assert key_digest(made["key"]) not in shown
    assert made["hint"] in shown


def test_the_line_to_paste_names_the_proxy_and_holds_odd_names(place: Place) -> None:
    place.run("users", "add", "räv+1")
    made = place.json("keys", "create", "--user", "räv+1", "--proxy", "https://old:secret@Proxy.example.com:3128")
    assert made["https_proxy"] == f"https://r%C3%A4v%2B1:{made['key']}@proxy.example.com:3128"


def test_an_unknown_user_is_told_what_to_do(place: Place) -> None:
    place.run("users", "add", "ann")
    for command in (("keys", "create", "--user", "bob"), ("users", "remove", "bob")):
        assert "`aitap users add bob`" in place.run(*command, status=1)
    assert "'bob' does not exist" in place.run("keys", "list", "--user", "bob", status=2)
    assert place.json("keys", "create", "--user", "bob", "--create-user")["user"]["id"] == user_id("bob")


def test_me_is_the_local_user(place: Place) -> None:
    own_id, own_name = local_user()
    made = place.json("keys", "create", "--user", "me")
    assert (made["user"]["id"], made["user"]["username"]) == (own_id, own_name)
    assert [key["id"] for key in place.json("keys", "list", "--user", "me")] == [made["id"]]


def test_users_are_named_by_id_too(place: Place) -> None:
    added = place.json("users", "add", "alice")
    assert place.json("keys", "create", "--user", added["id"])["user"]["username"] == "alice"
    assert place.run("users", "remove", added["id"]) == "removed alice; 1 key revoked\n"


def test_who_is_removed_has_no_key_gets_none_and_can_come_back(place: Place) -> None:
    place.run("keys", "create", "--user", "alice", "--create-user")
    assert place.run("users", "remove", "alice") == "removed alice; 1 key revoked\n"
    assert place.run("users", "remove", "alice") == "alice was removed before\n"
    assert place.directory().removed == {user_id("alice")}
    assert "brings them back" in place.run("keys", "create", "--user", "alice", status=1)
    # The other one is whoever ran these commands: the audit names them.
    (listed,) = (user for user in place.json("users", "list") if user["username"] != local_user()[1])
    assert (listed["username"], listed["state"], listed["keys"]) == ("alice", "removed", 0)
    assert place.json("keys", "create", "--user", "alice", "--create-user")["state"] == "live"
    assert [key["state"] for key in place.json("keys", "list")] == ["live", "revoked"]
    assert "already" in place.run("users", "add", "alice", status=1)


def test_an_expiry_is_an_age_or_a_moment(place: Place) -> None:
    def expiry(text: str) -> float:
        made = place.json("keys", "create", "--user", "alice", "--create-user", "--expires", text)
        return datetime.fromisoformat(made["expires_at"]).timestamp()

    assert expiry("90d") == pytest.approx(time.time() + 90 * 86400, abs=60)
    assert expiry("2199-01-31T09:00:00Z") == datetime.fromisoformat("2199-01-31T09:00:00+00:00").timestamp()


@pytest.mark.parametrize("text", ["0", "2020-01-31T09:00:00Z", "9999999w", "2199-01-31", "soon", "-5d"])
def test_an_expiry_that_is_none_is_refused_before_anything_is_made(place: Place, text: str) -> None:
    place.run("users", "add", "alice")
    place.run("keys", "create", "--user", "alice", f"--expires={text}", status=2)
    assert place.json("keys", "list") == []


def test_keys_are_revoked_by_part_of_their_id(place: Place) -> None:
    first = place.json("keys", "create", "--user", "alice", "--create-user", "--name", "laptop")
    second = place.json("keys", "create", "--user", "alice")
    short = first["id"][-8:]
    assert place.run("keys", "revoke", short) == f"{short} (laptop) of alice revoked\n"
    assert place.run("keys", "revoke", short) == f"{short} (laptop) of alice was revoked before\n"
    assert [key["state"] for key in place.json("keys", "list")] == ["live", "revoked"]
    assert list(place.directory().keys) == [key_digest(second["key"])]


def test_a_key_can_be_left_some_time_to_hand_out_the_next(place: Place) -> None:
    made = place.json("keys", "create", "--user", "alice", "--create-user")
    assert place.run("keys", "revoke", made["id"], "--in", "24h").endswith("of alice will expire\n")
    (key,) = place.json("keys", "list")
    assert key["state"] == "live"
    assert datetime.fromisoformat(key["expires_at"]).timestamp() == pytest.approx(time.time() + 86400, abs=60)


def test_one_wrong_id_revokes_nothing(place: Place) -> None:
    made = place.json("keys", "create", "--user", "alice", "--create-user")
    assert "no key has the id 'ffffffff'" in place.run("keys", "revoke", made["id"], "ffffffff", status=1)
    assert place.json("keys", "list")[0]["state"] == "live"


def test_an_id_that_several_keys_have_is_refused(place: Place) -> None:
    made = [place.json("keys", "create", "--user", "alice", "--create-user") for _ in range(2)]
    assert "give more of the id" in place.run("keys", "revoke", made[0]["id"][:6], status=1)


def test_a_key_pasted_in_the_place_of_its_id_is_not_repeated(place: Place) -> None:
    made = place.json("keys", "create", "--user", "alice", "--create-user")
    told = place.run("keys", "revoke", made["key"], status=1)
    assert made["key"] not in told
    assert "that is a key, not its id" in told


def test_a_stored_user_can_be_searched_for_by_name(invoke: Invoke, tmp_path: Path) -> None:
    """Records of a user and a key say so in every form: list, show, export, CSV."""
    place = Place(invoke, f"sqlite:///{tmp_path}/own.db")
    key = place.json("keys", "create", "--user", "alice", "--create-user")
    story = sample.Story(time.time() - 60)
    story.call(initiator_id=user_id("alice"), api_key_id=key["id"])
    story.call()
    sample.write(place.url, story.records)
    who = {"id": user_id("alice"), "username": "alice", "name": "alice", "avatar_url": None}
    for wanted in (("--initiator", "alice"), ("--initiator", user_id("alice")), ("-q", "initiator:alice")):
        (record,) = place.json("interceptions", "list", *wanted)
        assert (record["api_key_id"], record["initiator"]) == (key["id"], who)
    assert place.json("interceptions", "show", record["id"])["initiator"] == who
    exported = place.json("export", "--format", "jsonl", "--initiator", "alice")
    assert (exported["api_key_id"], exported["initiator"]) == (key["id"], who)
    assert key["id"] in place.run("export", "--format", "csv", "--initiator", "alice")
    assert [host["users"] for host in place.json("hosts", "--initiator", "alice")] == [[who]]
    assert [session["initiator"] for session in place.json("sessions", "list", "--initiator", "alice")] == [who]
    assert place.json("keys", "list")[0]["last_used_at"] is not None


def test_a_role_is_given_with_the_user_or_later(place: Place) -> None:
    assert place.json("users", "add", "alice")["role"] == "user"
    assert place.json("users", "add", "carol", "--role", "auditor")["role"] == "auditor"
    assert place.run("users", "role", "alice", "admin") == "alice is an admin\n"
    assert place.directory().roles == {user_id("alice"): "admin", user_id("carol"): "auditor"}
    assert place.run("users", "role", "alice", "user") == "alice is a user\n"
    assert place.directory().roles == {user_id("carol"): "auditor"}
    place.run("users", "remove", "carol")
    assert place.directory().roles == {}
    assert "'root' is not one of" in place.run("users", "role", "alice", "root", status=2)
    assert "`aitap users add bob`" in place.run("users", "role", "bob", "admin", status=1)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_a_person_sees_tables_that_fit(place: Place, width: int) -> None:
    pytest.importorskip("pty")
    place.run("keys", "create", "--user", "alice", "--create-user", "--name", "laptop \u2713")
    for command, header in ((("users", "list"), "USERNAME"), (("keys", "list"), "LAST USED")):
        status, screen = on_terminal(width, *command, AITAP_DATABASE_URL=place.url)
        assert status == 0
        lines = screen.splitlines()
        assert header in lines[0]
        assert any("alice" in line for line in lines)
        assert all(len(line) <= width for line in lines)


def test_a_person_sees_the_key_and_the_line_to_paste(place: Place) -> None:
    pytest.importorskip("pty")
    place.run("users", "add", "alice")
    status, screen = on_terminal(100, "keys", "create", "--user", "alice", AITAP_DATABASE_URL=place.url)
    assert status == 0
    key = screen.split()[1]
    assert key_digest(key) in place.directory().keys
    assert f"export HTTPS_PROXY=http://alice:{key}@127.0.0.1:8080" in screen.splitlines()


def test_a_database_without_users_or_keys_says_so(place: Place) -> None:
    pytest.importorskip("pty")
    place.run("db", "migrate")
    assert place.json("users", "list") == place.json("keys", "list") == []
    assert on_terminal(80, "keys", "list", AITAP_DATABASE_URL=place.url)[1].strip() == "No keys found."
    assert on_terminal(80, "users", "list", AITAP_DATABASE_URL=place.url)[1].strip() == "No users found."
