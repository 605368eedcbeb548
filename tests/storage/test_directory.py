"""What a proxy reads of users, keys and rules, and how it knows that something changed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from peewee import Database

from aitap.storage.database import transaction
from aitap.storage.directory import changed, directory_version, read_directory
from aitap.storage.host_rules import list_rules, reset_hosts, set_hosts
from aitap.storage.keys import create_key, end_key, key_digest
from aitap.storage.users import add_user, ensure_user, remove_user
from tests.storage.making import ANN, BEN


def test_nothing_is_in_an_empty_directory(database: Database) -> None:
    found = read_directory(database)
    assert (found.version, found.users, found.removed, found.keys, found.host_modes) == (0, {}, frozenset(), {}, {})


def test_one_reading_gives_all_that_is_needed_to_decide(database: Database) -> None:
    ensure_user(database, ANN, "ann")
    ensure_user(database, BEN, "ben")
    key, row = create_key(database, ANN)
    set_hosts(database, ["api.example.com"], "observe")
    remove_user(database, BEN)
    found = read_directory(database)
    assert found.users == {ANN: "ann"}
    assert found.removed == {BEN}
    assert found.host_modes == {"api.example.com": "observe"}
    assert found.version == directory_version(database)
    (usable,) = found.keys.values()
    assert usable.digest == key_digest(key)
    assert (usable.id, usable.user_id, usable.username, usable.expires_at) == (row["id"], ANN, "ann", None)


CHANGES: dict[str, Callable[[Database, str], object]] = {
    "user added": lambda database, _: add_user(database, BEN, "ben"),
    "user seen": lambda database, _: ensure_user(database, BEN, "ben"),
    "user renamed": lambda database, _: ensure_user(database, ANN, "anna"),
    "user removed": lambda database, _: remove_user(database, ANN),
    "key made": lambda database, _: create_key(database, ANN),
    "key revoked": end_key,
    "key to expire": lambda database, key: end_key(database, key, time.time() + 60),
    "rule set": lambda database, _: set_hosts(database, ["b"], "decrypt"),
    "rule reset": lambda database, _: reset_hosts(database, ["a"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_makes_another_version(database: Database, change: str) -> None:
    ensure_user(database, ANN, "ann")
    _, row = create_key(database, ANN)
    set_hosts(database, ["a"], "observe")
    before = directory_version(database)
    CHANGES[change](database, row["id"])
    assert directory_version(database) > before


def test_a_user_who_is_seen_again_is_no_change(database: Database) -> None:
    """Every request of somebody whom another directory knows comes by here."""
    ensure_user(database, ANN, "ann", source="coder", email="ann@example.com")
    before = directory_version(database)
    ensure_user(database, ANN, "ann", source="coder", email="ann@example.com")
    ensure_user(database, ANN, "ann")
    assert directory_version(database) == before


def test_a_change_that_is_undone_is_none(database: Database) -> None:
    def fail() -> None:
        with transaction(database):
            changed(database)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert directory_version(database) == 0


def test_the_last_word_on_a_host_counts(database: Database) -> None:
    set_hosts(database, ["a", "*.b"], "observe")
    set_hosts(database, ["a"], "decrypt")
    assert [(rule["pattern"], rule["mode"]) for rule in list_rules(database)] == [("*.b", "observe"), ("a", "decrypt")]
    assert reset_hosts(database, ["a", "c"]) == ["c"]
    assert read_directory(database).host_modes == {"*.b": "observe"}
