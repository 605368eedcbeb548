"""Proxy keys: told once, stored as a hash, ended for good."""

from __future__ import annotations

import re
import time
from hashlib import sha256
from pathlib import Path

import pytest
from peewee import Database

from aitap.storage.database import rows_of
from aitap.storage.directory import directory_version, read_directory
from aitap.storage.ids import AmbiguousIdError
from aitap.storage.keys import create_key, end_key, find_key, key_digest, list_keys
from aitap.storage.users import ensure_user
from tests.storage.making import ANN, BEN, everything

UNKNOWN = "00000000-0000-7000-8000-000000000000"


@pytest.fixture(autouse=True)
def people(database: Database) -> None:
    ensure_user(database, ANN, "ann")
    ensure_user(database, BEN, "ben")


def test_a_key_is_a_prefix_and_256_random_bits(database: Database) -> None:
    made = {create_key(database, ANN)[0] for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(r"aitap_[A-Za-z0-9_-]{43}", key) for key in made)


def test_the_digest_is_of_the_whole_key(database: Database) -> None:
    key, _ = create_key(database, ANN)
    assert rows_of(database, "SELECT digest FROM aitap_keys") == [(sha256(key.encode()).hexdigest(),)]
    assert key_digest(key) in read_directory(database).keys


def test_the_digest_of_what_no_key_can_be_is_only_one_nobody_has() -> None:
    assert len(key_digest("\ud800\0ä")) == 64


def test_the_key_is_nowhere_in_the_database(database: Database) -> None:
    """Not even the half of it, in any column of any table."""
    key, row = create_key(database, ANN, name="laptop")
    secret = key.removeprefix("aitap_")
    stored = repr(everything(database)) + repr(row)
    assert row["hint"] == key[-4:]
    assert not any(secret[start : start + 8] in stored for start in range(len(secret) - 8))


@pytest.mark.sqlite
def test_the_key_is_in_no_file_of_the_database(database: Database, tmp_path: Path) -> None:
    secret = create_key(database, ANN)[0].removeprefix("aitap_")[:20].encode()
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert files
    assert not any(secret in path.read_bytes() for path in files)


def test_keys_are_listed_newest_first_with_whose_they_are(database: Database) -> None:
    for user, name in ((ANN, "one"), (BEN, ""), (ANN, "two")):
        create_key(database, user, name=name)
    assert [(key["user"]["username"], key["name"]) for key in list_keys(database)] == [
        ("ann", "two"),
        ("ben", None),
        ("ann", "one"),
    ]
    assert [key["name"] for key in list_keys(database, ANN)] == ["two", "one"]
    assert "digest" not in list_keys(database)[0]


def test_a_revoked_key_stays_listed_and_is_usable_no_more(database: Database) -> None:
    _, row = create_key(database, ANN)
    assert end_key(database, row["id"])
    (listed,) = list_keys(database)
    assert listed["state"] == "revoked"
    assert listed["revoked_at"] is not None
    assert read_directory(database).keys == {}


def test_to_revoke_again_changes_nothing(database: Database) -> None:
    _, row = create_key(database, ANN)
    assert end_key(database, row["id"])
    before, version = list_keys(database), directory_version(database)
    assert not end_key(database, row["id"])
    assert not end_key(database, row["id"], time.time() + 9)
    assert not end_key(database, UNKNOWN)
    assert (list_keys(database), directory_version(database)) == (before, version)


def test_an_expiry_is_told_and_handed_to_who_decides(database: Database) -> None:
    at = time.time() + 3600
    key, row = create_key(database, ANN, expires_at=at)
    assert row["state"] == "live"
    usable = read_directory(database).keys[key_digest(key)]
    assert usable.expires_at == pytest.approx(at, abs=1e-5)
    assert end_key(database, row["id"], time.time() - 1)
    assert list_keys(database)[0]["state"] == "expired"
    assert list_keys(database)[0]["revoked_at"] is None


def test_a_key_is_found_by_either_end_of_its_id(database: Database) -> None:
    _, row = create_key(database, ANN)
    create_key(database, ANN)
    own_id = row["id"]
    for text in (own_id, own_id.upper(), own_id.replace("-", ""), own_id[-12:], own_id[-8:], own_id[:18]):
        found = find_key(database, text)
        assert found is not None
        assert found["id"] == own_id
    for text in ("", "zzzz", "abc", UNKNOWN, "aitap_" + own_id):
        assert find_key(database, text) is None


def test_a_part_that_several_ids_have_is_refused(database: Database) -> None:
    first, second = (create_key(database, ANN)[1]["id"] for _ in range(2))
    assert first[:6] == second[:6]
    with pytest.raises(AmbiguousIdError, match="several keys match"):
        find_key(database, first[:6])
