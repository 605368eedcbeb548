"""A Coder deployment vouches for its users, for as long as it says so and a while longer when it is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from aitap.access.authentication import coder as module
from aitap.access.authentication.coder import Coder
from aitap.access.authentication.credentials import Credentials
from aitap.access.authentication.directory import Directory
from aitap.access.authentication.sources import Grant, Refusal
from aitap.settings import SettingsError
from aitap.storage.database import open_database
from aitap.storage.users import remove_user
from tests.proxy.coder import Deployment
from tests.proxy.upstream import Upstream

ID = "3f1c2a52-0b3f-4c80-9a34-3a6d9b4d8f10"
TOKEN = Credentials("coder", "aBcDeFgHiJ-0123456789abcdefABCDEF")


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    deployment = Deployment()
    deployment.users[TOKEN.secret] = {"id": ID, "username": "grace", "name": "Grace", "email": "g@example.com"}
    yield deployment
    deployment.close()


def run(url: str, folder: Path, test: Callable[[Coder, Directory], Awaitable[None]]) -> None:
    database_url = f"sqlite:///{folder / 'aitap.db'}"
    open_database(database_url, migrate=True).close()

    async def main() -> None:
        directory = Directory(database_url)
        directory.start()
        source = Coder(url, directory, asyncio.get_running_loop())
        try:
            await test(source, directory)
        finally:
            source.close()
            directory.stop()

    asyncio.run(main())


async def eventually(probe: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not probe():
            await asyncio.sleep(0.01)


def granted(answer: object) -> Grant:
    assert isinstance(answer, Grant), answer
    return answer


def test_an_answer_is_good_for_a_while_without_asking_again(deployment: Deployment, tmp_path: Path) -> None:
    async def test(coder: Coder, _: Directory) -> None:
        assert coder.known(TOKEN) is None
        grant = granted(await coder.look_up(TOKEN))
        assert (grant.identity.user_id, grant.identity.source, grant.identity.api_key_id) == (ID, "coder", "aBcDeFgHiJ")
        assert coder.known(Credentials("coder", TOKEN.secret)) is grant
        assert coder.withdrawn(grant) is None

    run(deployment.url, tmp_path, test)
    assert deployment.asked == [TOKEN.secret]


def test_a_token_that_ended_is_noticed_on_connections_that_are_open(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH", 0.0)

    async def test(coder: Coder, _: Directory) -> None:
        grant = granted(await coder.look_up(TOKEN))
        assert coder.withdrawn(grant) is None
        deployment.users.clear()
        await eventually(lambda: coder.withdrawn(grant) == "revoked")
        assert coder.known(TOKEN) is None
        assert not coder.can_look_up(TOKEN), "it was refused a moment ago"

    run(deployment.url, tmp_path, test)


@pytest.mark.parametrize(("grace", "expected"), [(900.0, None), (0.0, "unreachable")])
def test_a_silent_deployment_is_believed_for_the_grace_time_alone(
    grace: float, expected: str | None, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH", 0.0)
    monkeypatch.setattr(module, "GRACE", grace)

    async def test(coder: Coder, _: Directory) -> None:
        grant = granted(await coder.look_up(TOKEN))
        deployment.status = 502
        answer = await coder.look_up(TOKEN)
        assert answer is grant if expected is None else answer == Refusal("unreachable", 5)
        assert coder.withdrawn(grant) == expected
        assert await coder.look_up(Credentials("coder", "another-token")) == Refusal("unreachable", 5)

    run(deployment.url, tmp_path, test)


def test_a_user_whom_we_removed_is_not_let_in_by_coder(deployment: Deployment, tmp_path: Path) -> None:
    async def test(coder: Coder, directory: Directory) -> None:
        grant = granted(await coder.look_up(TOKEN))
        database = open_database(f"sqlite:///{tmp_path / 'aitap.db'}")
        remove_user(database, ID)
        database.close()
        await directory.refresh()
        assert coder.withdrawn(grant) == "revoked"
        assert coder.known(TOKEN) == Refusal("revoked")
        assert await coder.look_up(TOKEN) == Refusal("revoked")

    run(deployment.url, tmp_path, test)


@pytest.mark.parametrize(
    "user", [{"id": "no uuid", "username": "x"}, {"id": ID}, {"id": ID, "username": ""}, {"x": "y"}]
)
def test_an_answer_without_a_user_vouches_for_nobody(
    user: dict[str, str], deployment: Deployment, tmp_path: Path
) -> None:
    deployment.users[TOKEN.secret] = user

    async def test(coder: Coder, _: Directory) -> None:
        assert await coder.look_up(TOKEN) == Refusal("unreachable", 5)

    run(deployment.url, tmp_path, test)


@pytest.mark.parametrize(
    "secret",
    ["aitap_" + "x" * 43, "aitap_old-form-of-a-key", "two words", "a\r\nHost: b", "short", "ünicode-token", ""],
)
def test_what_cannot_be_a_token_is_never_sent(secret: str, deployment: Deployment, tmp_path: Path) -> None:
    async def test(coder: Coder, _: Directory) -> None:
        assert not coder.can_look_up(Credentials("coder", secret))

    run(deployment.url, tmp_path, test)


def test_a_certificate_that_nobody_vouches_for_is_no_deployment(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    server = Upstream(tmp_path / "tls")

    async def test(coder: Coder, _: Directory) -> None:
        assert await coder.look_up(TOKEN) == Refusal("unreachable", 5)

    run(f"https://127.0.0.1:{server.port}", tmp_path, test)
    assert server.exchanges == []
    server.close()


def test_tokens_are_not_sent_in_the_clear_to_another_machine(tmp_path: Path) -> None:
    async def test(coder: Coder, _: Directory) -> None:
        raise AssertionError

    with pytest.raises(SettingsError, match="write https://, for tokens are sent there"):
        run("http://coder.example.com", tmp_path, test)
