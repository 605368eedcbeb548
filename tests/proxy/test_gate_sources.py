"""Identities from elsewhere, through a real mitmdump: an htpasswd file, a Coder deployment, the client's address."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aitap.access.identity import user_id
from tests.proxy.coder import Deployment
from tests.proxy.gate import Gated, gated, knock, own_address
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.people import basic
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import CHAT, ask_chat, chat_json

BODY = ask_chat("hi")
POST = (
    f"POST https://api.openai.com{CHAT} HTTP/1.1\r\nHost: api.openai.com\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(BODY)}\r\n"
).encode()


@pytest.fixture(autouse=True)
def provider(upstream: Upstream) -> None:
    upstream.serve(answer(chat_json("c1", text="Hi")))


def ask(place: Gated, value: str | None, source: str | None = None) -> int:
    """The status of a plain request with these credentials."""
    shown = b"" if value is None else f"Proxy-Authorization: {value}\r\n".encode()
    return knock(place, POST + shown + b"\r\n" + BODY, source or own_address()).status


def sha(password: str) -> str:
    return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()


class TestHtpasswd:
    @pytest.fixture
    def file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = tmp_path / "htpasswd"
        path.write_text(f"# ours\nalice:{sha('pass:word')}\n\nbob:{sha('other')}\n")
        monkeypatch.setenv("AITAP_HTPASSWD", str(path))
        return path

    def test_user_and_password_let_in_and_a_change_of_the_file_holds_within_seconds(
        self, file: Path, start_proxy: Callable[..., Mitmdump]
    ) -> None:
        with gated(start_proxy) as place:
            assert ask(place, basic("alice", "pass:word")) == 200
            assert place.proxy.record()["initiator_id"] == user_id("alice")
            assert (place.people.user("alice") or {})["source"] == "htpasswd"
            assert ask(place, basic("alice", "other")) == 407
            assert ask(place, basic("carol", "pass:word")) == 407
            assert ask(place, None) == 407
            assert ask(place, basic("alice", place.people.key("dave"))) == 200, "keys of ours are good as ever"

            file.write_text(f"alice:{sha('new')}\n")
            until(lambda: ask(place, basic("alice", "pass:word")) == 407, "the old password is refused")
            assert ask(place, basic("alice", "new")) == 200
            assert ask(place, basic("bob", "other")) == 407

    def test_a_line_that_cannot_be_checked_is_told_at_the_start(
        self, file: Path, start_proxy: Callable[..., Mitmdump]
    ) -> None:
        file.write_text("alice:secret-in-plain-text\n")
        with pytest.raises(AssertionError, match="line 1: the password of 'alice' is stored in a way") as caught:
            start_proxy()
        assert "secret-in-plain-text" not in str(caught.value)


TOKEN = "aBcDeFgHiJ-0123456789abcdefABCDEF"
CODER_ID = "3f1c2a52-0b3f-4c80-9a34-3a6d9b4d8f10"


class TestCoder:
    @pytest.fixture
    def deployment(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
        deployment = Deployment()
        deployment.users[TOKEN] = {
            "id": CODER_ID,
            "username": "grace",
            "name": "Grace Hopper",
            "email": "grace@example.com",
            "status": "active",
        }
        monkeypatch.setenv("AITAP_CODER_URL", deployment.url)
        yield deployment
        deployment.close()

    def test_a_session_token_lets_in_as_its_coder_user(
        self, deployment: Deployment, start_proxy: Callable[..., Mitmdump]
    ) -> None:
        with gated(start_proxy) as place:
            assert ask(place, basic("coder", TOKEN)) == 200
            record = place.proxy.record()
            assert (record["initiator_id"], record["api_key_id"]) == (CODER_ID, "aBcDeFgHiJ")
            person = place.people.user(CODER_ID) or {}
            assert (person["username"], person["name"], person["email"], person["source"]) == (
                "grace",
                "Grace Hopper",
                "grace@example.com",
                "coder",
            )
            assert ask(place, basic("anyone", TOKEN)) == 200
            assert ask(place, f"Bearer {TOKEN}") == 200

    def test_nothing_of_ours_is_sent_there_and_nobody_is_asked_about_twice(
        self, deployment: Deployment, start_proxy: Callable[..., Mitmdump]
    ) -> None:
        with gated(start_proxy) as place:
            key = place.people.key()
            for value in (key, "aitap_" + "x" * 43, TOKEN, TOKEN, "a-wrong-token", "a-wrong-token", "with a space", ""):
                ask(place, basic("alice", value))
        assert deployment.asked == [TOKEN, "a-wrong-token"]

    def test_whoever_is_refused_or_suspended_there_is_refused(
        self, deployment: Deployment, start_proxy: Callable[..., Mitmdump]
    ) -> None:
        deployment.users["another-token"] = deployment.users[TOKEN] | {"status": "suspended"}
        with gated(start_proxy) as place:
            assert ask(place, basic("coder", "unknown-token")) == 407
            assert ask(place, basic("coder", "another-token")) == 407

    def test_while_it_does_not_answer_only_who_was_known_goes_on(
        self, deployment: Deployment, start_proxy: Callable[..., Mitmdump]
    ) -> None:
        with gated(start_proxy) as place:
            assert ask(place, basic("coder", TOKEN)) == 200
            deployment.status = 503
            deployment.users["another-token"] = deployment.users[TOKEN]
            assert ask(place, basic("coder", TOKEN)) == 200
            assert ask(place, basic("coder", "another-token")) == 407
            assert "Coder does not answer: status 503" in place.proxy.said()
            deployment.status = None
            assert ask(place, basic("coder", "another-token")) == 200
            assert TOKEN not in place.proxy.said()


class TestAddress:
    @pytest.fixture
    def table(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "aitap.toml"
        path.write_text(
            '[[address]]\nnetwork = "127.200.0.0/16"\nuser = "lab"\n\n'
            '[[address]]\nnetwork = "127.200.7.0/24"\nuser = "ruth"\n'
        )
        monkeypatch.setenv("AITAP_CONFIG", str(path))

    def test_the_address_tells_who_it_is_where_nothing_else_does(
        self, table: None, start_proxy: Callable[..., Mitmdump]
    ) -> None:
        with gated(start_proxy) as place:
            assert ask(place, None, "127.200.7.1") == 200
            assert place.proxy.record()["initiator_id"] == user_id("ruth")
            assert ask(place, None, "127.200.8.1") == 200
            assert place.proxy.record()["initiator_id"] == user_id("lab")
            assert ask(place, None, "127.201.0.1") == 407
            key = place.people.key("alice")
            assert ask(place, basic("alice", key), "127.200.7.1") == 200
            assert place.proxy.record()["initiator_id"] == user_id("alice"), "a key says more than an address"
            place.people.remove("ruth")
            until(lambda: ask(place, None, "127.200.7.1") == 407, "a user who was removed is refused")

    def test_it_is_how_a_reverse_proxy_knows_its_clients(
        self, table: None, start_proxy: Callable[..., Mitmdump], upstream: Upstream
    ) -> None:
        mode = ("--mode", "reverse:https://api.openai.com")
        with gated(start_proxy, arguments=mode) as place:
            head = POST.replace(b"https://api.openai.com", b"")
            assert knock(place, head + b"\r\n" + BODY, "127.201.0.1").status == 407
            key = f"Proxy-Authorization: {basic('alice', place.people.key())}\r\n".encode()
            assert knock(place, head + key + b"\r\n" + BODY, "127.201.0.1").status == 407
            assert upstream.exchanges == []
            assert knock(place, head + b"\r\n" + BODY, "127.200.7.1").status == 200
            assert place.proxy.record()["initiator_id"] == user_id("ruth")
