"""Users: known by name here, or by id from elsewhere; removed, never forgotten."""

from __future__ import annotations

import threading

import pytest
from peewee import Database

from aitap.storage.database import rows_of
from aitap.storage.filters import Filter
from aitap.storage.keys import create_key, list_keys
from aitap.storage.queries import list_interceptions
from aitap.storage.users import UserError, add_user, ensure_user, find_user, has_user, list_users, remove_user
from aitap.storage.writer import Writer
from tests.storage.making import ANN, BEN, interception

CLEO = "33333333-3333-5333-8333-333333333333"


def username(database: Database, user_id: str) -> str:
    found = find_user(database, user_id)
    assert found is not None
    return str(found["username"])


def test_a_user_is_found_by_id_and_by_name(database: Database) -> None:
    assert add_user(database, ANN, "ann", name="Ann Example", email="ann@example.com")
    found = find_user(database, "ann")
    assert found is not None
    assert found == find_user(database, ANN) == find_user(database, ANN.upper())
    assert (found["name"], found["email"], found["source"]) == ("Ann Example", "ann@example.com", "local")
    assert find_user(database, "nobody") is None
    assert has_user(database, ANN)
    assert not has_user(database, BEN)


@pytest.mark.parametrize("name", ["", " ", "a b", "a:b", "a/b", "a@b", "a\\b", "a\nb", "a\x1bb", "me", ANN, "x" * 129])
def test_what_cannot_be_a_name_is_refused_in_one_line(database: Database, name: str) -> None:
    with pytest.raises(UserError) as caught:
        add_user(database, ANN, name)
    assert "\n" not in str(caught.value)
    assert list_users(database) == []


@pytest.mark.parametrize("name", ["ann", "Ann", "ANN"])
def test_a_name_is_taken_in_any_case(database: Database, name: str) -> None:
    add_user(database, ANN, "ann")
    with pytest.raises(UserError, match="a user 'ann' already"):
        add_user(database, BEN, name)


def test_removing_revokes_the_keys_and_keeps_the_name(database: Database, writer: Writer) -> None:
    add_user(database, ANN, "ann")
    add_user(database, BEN, "ben")
    for user in (ANN, ANN, BEN):
        create_key(database, user)
    writer.submit(interception())
    assert writer.flush(60)
    assert remove_user(database, ANN) == 2
    assert {key["user"]["username"]: key["state"] for key in list_keys(database)} == {"ann": "revoked", "ben": "live"}
    (record,) = list_interceptions(database, Filter(initiator_id=ANN), limit=10)
    assert record["initiator"]["username"] == "ann"
    assert [(user["username"], user["state"]) for user in list_users(database)] == [("ann", "removed"), ("ben", "live")]


def test_who_was_removed_comes_back_with_the_same_id_and_without_keys(database: Database) -> None:
    add_user(database, ANN, "ann", name="Ann")
    create_key(database, ANN)
    remove_user(database, ANN)
    assert not add_user(database, ANN, "ann", email="new@example.com")
    found = find_user(database, ANN)
    assert found is not None
    assert (found["deleted"], found["name"], found["email"]) == (False, "Ann", "new@example.com")
    assert [user["keys"] for user in list_users(database)] == [0]


def test_being_seen_does_not_bring_back_who_was_removed(database: Database) -> None:
    ensure_user(database, ANN, "ann", source="coder")
    remove_user(database, ANN)
    ensure_user(database, ANN, "ann", source="coder", name="Ann")
    found = find_user(database, ANN)
    assert found is not None
    assert (found["deleted"], found["name"]) == (True, "Ann")


def test_what_another_directory_says_is_kept_up_to_date(database: Database) -> None:
    ensure_user(database, ANN, "ann", source="coder", name="Ann", email="a@example.com", avatar_url="https://a/1")
    ensure_user(database, ANN, "anna", source="coder", name="Anna", avatar_url="https://a/2")
    found = find_user(database, ANN)
    assert found is not None
    assert (found["username"], found["name"], found["email"], found["avatar_url"], found["source"]) == (
        "anna",
        "Anna",
        "a@example.com",
        "https://a/2",
        "coder",
    )


def test_of_two_with_one_name_the_newcomer_is_told_by_where_it_comes_from(database: Database) -> None:
    """No name passes from one person to another, however often either is seen."""
    add_user(database, ANN, "ann")
    for _ in range(2):
        ensure_user(database, BEN, "ann", source="coder")
        ensure_user(database, CLEO, "ann", source="coder")
        ensure_user(database, ANN, "ann")
    assert [username(database, user) for user in (ANN, BEN, CLEO)] == ["ann", "ann@coder", f"ann@coder-{CLEO}"]


def test_a_name_that_somebody_else_takes_up_elsewhere_stays_with_its_first_owner(database: Database) -> None:
    ensure_user(database, ANN, "ann", source="coder")
    ensure_user(database, BEN, "ben", source="coder")
    ensure_user(database, BEN, "ann", source="coder")
    assert [username(database, user) for user in (ANN, BEN)] == ["ann", "ann@coder"]


def test_many_who_see_the_same_user_at_once_store_one(database: Database) -> None:
    errors: list[Exception] = []

    def see(user_id: str) -> None:
        try:
            ensure_user(database, user_id, "ann", source="coder")
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=see, args=(user_id,)) for user_id in (ANN, BEN) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(row[0] for row in rows_of(database, "SELECT username FROM users")) == ["ann", "ann@coder"]


def test_users_are_listed_with_their_live_keys(database: Database) -> None:
    add_user(database, BEN, "ben")
    add_user(database, ANN, "ann")
    create_key(database, ANN)
    create_key(database, ANN, expires_at=1.0)
    assert [(user["username"], user["keys"]) for user in list_users(database)] == [("ann", 1), ("ben", 0)]
