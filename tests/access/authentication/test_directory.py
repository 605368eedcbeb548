"""The directory follows the database, at once where somebody asks, and outlives its absence."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from aitap.access.authentication import directory as module
from aitap.access.authentication.credentials import Credentials
from aitap.access.authentication.directory import Directory, Person
from aitap.access.authentication.proxy_keys import ProxyKeys
from aitap.access.authentication.sources import Grant, Refusal
from aitap.access.identity import user_id
from aitap.storage.database import Database, StorageError, open_database
from aitap.storage.host_rules import set_hosts
from aitap.storage.keys import create_key, end_key, key_digest
from aitap.storage.users import add_user, find_user, remove_user

ALICE = user_id("alice")


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'aitap.db'}"
    database = open_database(url, migrate=True)
    add_user(database, ALICE, "alice")
    database.close()
    return url


def run(url: str, test: Callable[[Directory], Awaitable[None]]) -> None:
    async def main() -> None:
        directory = Directory(url)
        directory.start()
        try:
            await test(directory)
        finally:
            directory.stop()

    asyncio.run(main())


async def eventually(probe: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not probe():
            await asyncio.sleep(0.01)


def new_key(url: str, expires_at: float | None = None) -> tuple[str, str]:
    database = open_database(url)
    try:
        key, row = create_key(database, ALICE, expires_at=expires_at)
        return key, row["id"]
    finally:
        database.close()


def test_what_is_there_at_the_start_is_known_at_once(url: str) -> None:
    key, key_id = new_key(url)

    async def test(directory: Directory) -> None:
        assert directory.keys[key_digest(key)].id == key_id
        assert (directory.users[ALICE], directory.ids["alice"]) == ("alice", ALICE)

    run(url, test)


def test_a_refresh_brings_what_is_new(url: str) -> None:
    async def test(directory: Directory) -> None:
        key, _ = new_key(url)
        await directory.refresh()
        assert key_digest(key) in directory.keys

    run(url, test)


def test_many_refreshes_at_once_are_all_answered(url: str) -> None:
    async def test(directory: Directory) -> None:
        async with asyncio.timeout(2):
            await asyncio.gather(*(directory.refresh() for _ in range(1000)))

    run(url, test)


def test_a_change_comes_by_itself_and_is_told_on_the_loop(url: str) -> None:
    async def test(directory: Directory) -> None:
        told: list[bool] = []
        directory.on_change.append(lambda: told.append(asyncio.get_running_loop() is not None))
        database = open_database(url)
        set_hosts(database, ["pinned.example.com"], "observe")
        remove_user(database, ALICE)
        database.close()
        await eventually(lambda: directory.host_modes and directory.removed)
        assert directory.host_modes == {"pinned.example.com": "observe"}
        assert directory.removed == {ALICE}
        assert told
        assert all(told)

    run(url, test)


def test_a_callback_that_fails_keeps_no_other_from_hearing(url: str) -> None:
    async def test(directory: Directory) -> None:
        told: list[int] = []
        directory.on_change += [lambda: 1 // 0, lambda: told.append(1)]  # type: ignore[list-item]
        new_key(url)
        await eventually(lambda: told)

    run(url, test)


def test_while_the_database_is_away_the_last_word_holds_and_it_is_said_once(
    url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL", 0.05)
    caplog.set_level(logging.WARNING)
    key, _ = new_key(url)

    async def test(directory: Directory) -> None:
        await directory.refresh()
        real = module.directory_version

        def fail(database: Database) -> int:
            if threading.current_thread() is not directory._thread:  # another test's, not yet ended
                return real(database)
            raise StorageError("it is away")

        monkeypatch.setattr(module, "directory_version", fail)
        for _ in range(3):
            await directory.refresh()
        assert key_digest(key) in directory.keys
        monkeypatch.setattr(module, "directory_version", real)
        another, _ = new_key(url)
        await directory.refresh()
        await eventually(lambda: key_digest(another) in directory.keys)

    run(url, test)
    assert [record.message for record in caplog.records if "away" in record.message or "back" in record.message] == [
        "aitap: users and keys are as they were, the database is away: it is away",
        "aitap: the database is back",
    ]


def test_somebody_whom_another_directory_knows_gets_a_row(url: str) -> None:
    async def test(directory: Directory) -> None:
        await directory.enrol(
            Person("3f1c2a52-0b3f-4c80-9a34-3a6d9b4d8f10", "grace", "coder", "Grace", "g@example.com")
        )
        await directory.refresh()
        assert directory.ids["grace"] == "3f1c2a52-0b3f-4c80-9a34-3a6d9b4d8f10"

    run(url, test)
    database = open_database(url)
    grace = find_user(database, "grace") or {}
    database.close()
    assert (grace["name"], grace["email"], grace["source"]) == ("Grace", "g@example.com", "coder")


class TestProxyKeys:
    def test_each_state_of_a_key_has_its_answer(self, url: str) -> None:
        live, _ = new_key(url)
        late, _ = new_key(url, expires_at=1.0)
        ended, ended_id = new_key(url)

        async def test(directory: Directory) -> None:
            keys = ProxyKeys(directory)
            grant = keys.known(Credentials("anyone", live))
            assert isinstance(grant, Grant)
            assert (grant.identity.username, grant.identity.source) == ("alice", "key")
            assert keys.known(Credentials("", live)) is grant
            assert keys.known(Credentials("a", late)) == Refusal("expired")
            held = keys.known(Credentials("a", ended))
            assert isinstance(held, Grant)
            assert keys.withdrawn(held) is None
            database = open_database(url)
            end_key(database, ended_id)
            database.close()
            await directory.refresh()
            assert keys.known(Credentials("a", ended)) == Refusal("revoked")
            assert keys.withdrawn(held) == "revoked"
            assert keys.known(Credentials("a", "aitap_" + "x" * 43)) is None

        run(url, test)

    def test_only_what_looks_like_a_key_has_the_database_asked(self, url: str) -> None:
        keys = ProxyKeys(Directory(url))
        assert keys.can_look_up(Credentials("a", "aitap_" + "x" * 43))
        for secret in ("aitap_" + "x" * 42, "aitap_" + "é" * 43, "x" * 49, "", "\udc80"):
            assert not keys.can_look_up(Credentials("a", secret))
            assert keys.known(Credentials("a", secret)) is None


def test_a_database_that_is_put_back_from_a_copy_is_the_one_that_counts(url: str, tmp_path: Path) -> None:
    async def test(directory: Directory) -> None:
        assert set(directory.users.values()) == {"alice"}
        copy = f"sqlite:///{tmp_path / 'copy.db'}"
        database = open_database(copy, migrate=True)
        add_user(database, user_id("bob"), "bob")
        database.close()
        await directory.refresh()
        (tmp_path / "copy.db").rename(tmp_path / "aitap.db")
        await eventually(lambda: set(directory.users.values()) == {"bob"})

    run(url, test)
