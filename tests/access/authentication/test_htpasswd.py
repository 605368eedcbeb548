"""Passwords of an htpasswd file: every kind of hash that can be checked, and the file as it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from aitap.access.authentication import htpasswd as module
from aitap.access.authentication import password_hashes
from aitap.access.authentication.credentials import Credentials
from aitap.access.authentication.directory import Directory
from aitap.access.authentication.htpasswd import Htpasswd
from aitap.access.authentication.password_hashes import can_check, matches
from aitap.access.authentication.sources import Grant, Refusal
from aitap.settings import SettingsError
from aitap.storage.database import open_database

SHA = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="
BCRYPT = "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC"
MD5 = "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"
"""``password`` by ``htpasswd -s``, ``myPassword`` by ``-B`` and ``-m`` (Apache's documentation)."""


def test_sha_is_checked() -> None:
    assert matches(SHA, "password")
    assert not matches(SHA, "Password")


def test_bcrypt_is_checked_where_something_can() -> None:
    if not can_check(BCRYPT):
        pytest.skip("neither bcrypt nor passlib's")
    assert matches(BCRYPT, "myPassword")
    assert not matches(BCRYPT, "myPasswore")


def test_md5_is_checked_where_passlib_is() -> None:
    assert can_check(MD5) is (password_hashes.passlib is not None)
    assert matches(MD5, "myPassword") is can_check(MD5)


@pytest.mark.parametrize("stored", ["password", "", "$2y$", "{SHA}", "{SHA}cut", "$2y$05$short", "*", "!"])
@pytest.mark.parametrize("password", ["password", "", "\x00", "x" * 100, "\udc80", "*", "!"])
def test_a_hash_that_is_none_matches_nothing(stored: str, password: str) -> None:
    assert not matches(stored, password)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "htpasswd"
    path.write_text(f"# people\n\nalice:{SHA}\n")
    return path


def run(file: Path, test: Callable[[Htpasswd], Awaitable[None]]) -> None:
    url = f"sqlite:///{file.with_name('aitap.db')}"
    open_database(url, migrate=True).close()

    async def main() -> None:
        directory = Directory(url)
        directory.start()
        source = Htpasswd(file, directory, asyncio.get_running_loop())
        try:
            await test(source)
        finally:
            source.close()
            directory.stop()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("alice", "line 1 is not user:hash"),
        (":x", "line 1 is not user:hash"),
        ("alice:hunter2", "line 1: the password of 'alice' is stored in a way that cannot be checked"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_without_what_stands_there(line: str, problem: str, file: Path) -> None:
    file.write_text(line)

    async def main() -> None:
        Htpasswd(file, Directory("sqlite:///x"), asyncio.get_running_loop())

    with pytest.raises(SettingsError) as caught:
        asyncio.run(main())
    assert problem in str(caught.value)
    assert "hunter2" not in str(caught.value)
    file.unlink()
    with pytest.raises(SettingsError, match="No such file"):
        asyncio.run(main())


def test_a_checked_password_is_in_memory_and_a_wrong_one_is_not_checked_twice(file: Path) -> None:
    async def test(source: Htpasswd) -> None:
        right, wrong = Credentials("alice", "password"), Credentials("alice", "no")
        assert source.known(right) is None
        grant = await source.look_up(right)
        assert isinstance(grant, Grant)
        assert source.known(Credentials("alice", "password")) is grant
        assert source.can_look_up(wrong)
        assert await source.look_up(wrong) == Refusal("wrong")
        assert not source.can_look_up(Credentials("alice", "no"))
        assert not source.can_look_up(Credentials("bob", "password"))

    run(file, test)


def test_the_file_is_followed_and_outlives_a_bad_moment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.0)

    async def test(source: Htpasswd) -> None:
        grant = await source.look_up(Credentials("alice", "password"))
        assert isinstance(grant, Grant)
        file.write_text("half a li")
        assert source.withdrawn(grant) is None
        file.unlink()
        assert source.withdrawn(grant) is None
        file.write_text(f"alice:{SHA}\nbob:{SHA}\n")
        assert source.withdrawn(grant) is None
        assert source.can_look_up(Credentials("bob", "password"))
        file.write_text(f"bob:{SHA}\n")
        assert source.withdrawn(grant) == "revoked"
        assert source.known(Credentials("alice", "password")) is None

    run(file, test)
