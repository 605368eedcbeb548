"""Whoever shows a valid proxy key is let in and known; a key that ends, ends what it opened."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import pytest
import requests

from aitap.access.identity import user_id
from tests.proxy.gate import Gated, gated, knock, own_address, rest, shared
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.people import basic
from tests.proxy.plain import Answer, read_answer
from tests.proxy.raw import TIMEOUT
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import CHAT, ask_chat, chat_json

HOST = "api.openai.com"
CONNECT = b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n"
TUNNEL = b"CONNECT tunnelled.example.com:443 HTTP/1.1\r\nHost: tunnelled.example.com:443\r\n"
PLAIN = b"GET https://api.openai.com/v1/models HTTP/1.1\r\nHost: api.openai.com\r\n"
POST = f"POST {CHAT} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: ".encode()


def shown(value: str) -> bytes:
    """The end of a head, with these credentials."""
    return f"Proxy-Authorization: {value}\r\n\r\n".encode()


@pytest.fixture(scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Gated]:
    with gated(shared(tmp_path_factory, confdir, _provider)) as place:
        yield place
        place.proxy.stop()


@pytest.fixture
def place(_place: Gated, upstream: Upstream) -> Gated:
    _place.proxy.forget()
    upstream.serve(answer(chat_json("c1", text="Hi")))
    return _place


def chat(tunnel: ssl.SSLSocket) -> Answer:
    """Ask on a connection that is open."""
    body = ask_chat("hi")
    tunnel.sendall(POST + f"{len(body)}\r\n\r\n".encode() + body)
    return read_answer(tunnel)


def intercepted(place: Gated, key: str) -> ssl.SSLSocket:
    """A connection to a provider, through CONNECT and TLS."""
    plain = place.dial(own_address())
    plain.sendall(CONNECT + shown(basic("alice", key)))
    assert read_answer(plain).status == 200
    return place.proxy.trust().wrap_socket(plain, server_hostname=HOST)


FORMS: dict[str, Callable[[str], str]] = {
    "the user's name": lambda key: basic("alice", key),
    "another name": lambda key: basic("coder", key),
    "no name": lambda key: basic("", key),
    "a strange name": lambda key: basic("Zoë Ünal", key),
    "a token": lambda key: f"Bearer {key}",
    "another case": lambda key: "bASIC " + basic("alice", key).partition(" ")[2],
    "no padding": lambda key: basic("alice", key).rstrip("="),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_credentials_is_good_for_connect_and_for_plain_requests(form: str, place: Gated) -> None:
    value = FORMS[form](place.people.key())
    assert knock(place, CONNECT + shown(value), own_address()).status == 200
    assert knock(place, PLAIN + shown(value), own_address()).status == 200


def test_the_record_says_whose_it_was_and_by_which_key(place: Gated) -> None:
    key = place.people.key("bob")
    client = openai.OpenAI(
        api_key="not-a-real-key-0123456789",
        http_client=httpx.Client(proxy=place.url("bob", key), verify=place.proxy.trust()),
    )
    client.chat.completions.create(model="gpt-test-1", messages=[{"role": "user", "content": "Say hi"}])

    record = place.proxy.record()
    assert (record["initiator_id"], record["api_key_id"]) == (user_id("bob"), place.people.key_id(key))


def test_a_refused_request_is_no_record(place: Gated) -> None:
    body = ask_chat("hi")
    head = f"POST https://{HOST}{CHAT} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    knock(place, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, own_address())
    tunnel = intercepted(place, place.people.key())
    assert chat(tunnel).status == 200
    tunnel.close()
    place.proxy.record()  # one, and only one


def test_requests_takes_the_key_from_the_environment(place: Gated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", place.url("anyone", place.people.key()))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(place.proxy.certificate))
    assert requests.get(f"https://{HOST}/v1/models", timeout=TIMEOUT).status_code == 200


def test_httpx_without_a_key_says_407(place: Gated) -> None:
    client = httpx.Client(proxy=place.proxy.url, verify=place.proxy.trust())
    with client, pytest.raises(httpx.ProxyError, match="407"):
        client.get(f"https://{HOST}/v1/models")


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize("how", [["--proxy-basic"], ["--proxy-anyauth"], ["--proxy-basic", "--http2"]], ids=" ".join)
def test_curl_is_let_in(how: list[str], place: Gated) -> None:
    command = ["curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", *how]
    command += ["--cacert", str(place.proxy.certificate), "-x", place.url("alice", place.people.key())]
    done = subprocess.run([*command, f"https://{HOST}/v1/models"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("200", "")


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_git_which_waits_for_the_407_is_let_in(
    place: Gated, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSL_CAINFO", str(place.proxy.certificate))
    command = ["git", "-c", f"http.proxy={place.url('alice', place.people.key())}"]
    command += ["-c", "http.proxyAuthMethod=anyauth"]
    done = subprocess.run(
        [*command, "ls-remote", f"https://{HOST}/some/repo"], capture_output=True, text=True, check=False
    )
    assert "407" not in done.stderr, done.stderr
    assert upstream.exchanges, done.stderr
    assert upstream.exchanges[0][0].target.startswith("/some/repo/info/refs")


def test_a_key_made_a_moment_ago_works_at_once(place: Gated) -> None:
    for _ in range(5):
        assert knock(place, CONNECT + shown(basic("alice", place.people.key())), own_address()).status == 200


def test_an_expired_key_is_refused_and_says_so(place: Gated) -> None:
    key = place.people.key(expires_in=-1)
    found = knock(place, CONNECT + shown(basic("alice", key)), own_address())
    assert (found.status, found.text) == (
        407,
        "aitap: that proxy key has expired: make another with `aitap keys create`\n",
    )


def test_a_revoked_key_is_refused_and_says_so(place: Gated) -> None:
    key, source = place.people.key(), own_address()
    assert knock(place, CONNECT + shown(basic("alice", key)), source).status == 200
    place.people.revoke(key)
    found = until(lambda: refused(place, key, source), "a refusal")
    assert "was revoked" in found


def refused(place: Gated, key: str, source: str) -> str | None:
    found = knock(place, CONNECT + shown(basic("alice", key)), source)
    return found.text if found.status == 407 else None


def end(place: Gated, key: str, how: str) -> None:
    if how == "revoked":
        place.people.revoke(key)
    elif how == "removed":
        place.people.remove("carol")


@pytest.mark.parametrize("how", ["revoked", "removed", "expired"])
def test_an_open_connection_gets_no_further_answer_when_its_key_has_ended(how: str, place: Gated) -> None:
    key = place.people.key("carol", expires_in=3 if how == "expired" else None)
    tunnel = intercepted(place, key)
    assert chat(tunnel).status == 200
    end(place, key, how)

    last = until(lambda: found if (found := chat(tunnel)).status != 200 else None, "a refusal")
    assert (last.status, last.closed) == (407, True)


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_tunnel_is_closed_when_its_key_has_ended(how: str, place: Gated) -> None:
    key = place.people.key("dave", expires_in=2 if how == "expired" else None)
    with place.dial(own_address()) as tunnel:
        tunnel.sendall(TUNNEL + shown(basic("dave", key)))
        assert read_answer(tunnel).status == 200
        end(place, key, how)
        before = time.monotonic()
        assert rest(tunnel) == b""
    assert time.monotonic() - before < 6


def test_the_credentials_of_a_plain_request_are_its_own(place: Gated) -> None:
    first, second = place.people.key("erin"), place.people.key("frank")
    with place.dial(own_address()) as connection:
        statuses = []
        for value in (basic("erin", first), basic("frank", second), basic("frank", "wrong")):
            connection.sendall(PLAIN + shown(value))
            found = read_answer(connection)
            statuses.append(found.status)
    assert statuses == [200, 200, 407]


def test_no_key_is_good_for_the_next_plain_request(place: Gated, upstream: Upstream) -> None:
    with place.dial(own_address()) as connection:
        connection.sendall(PLAIN + shown(basic("alice", place.people.key())))
        assert read_answer(connection).status == 200
        connection.sendall(PLAIN + b"\r\n")
        assert read_answer(connection).status == 407
    assert len(upstream.exchanges) == 1


def test_guessing_is_slowed_down_and_a_good_key_from_the_same_address_is_not(place: Gated) -> None:
    key, source = place.people.key(), own_address()
    found = None
    for number in range(8):
        found = knock(place, CONNECT + shown(basic("alice", f"aitap_{number:043d}")), source)
        assert found.status == 407
    assert found is not None
    assert 0 < int(found.headers["retry-after"]) <= 60
    assert knock(place, CONNECT + shown(basic("alice", key)), source).status == 200
    assert "retry-after" not in knock(place, CONNECT + shown(basic("alice", "wrong")), own_address()).headers


def test_whoever_shows_nothing_is_not_guessing(place: Gated) -> None:
    source = own_address()
    answers = [knock(place, CONNECT + b"\r\n", source) for _ in range(20)]
    assert {(found.status, found.headers.get("retry-after")) for found in answers} == {(407, None)}


def test_the_provider_and_other_scripts_never_see_the_credentials(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream
) -> None:
    upstream.serve(answer(b"{}"))
    with gated(lambda **how: start_proxy("spy.py", **how)) as place:
        key = place.people.key()
        assert knock(place, PLAIN + shown(basic("alice", key))).status == 200
        tunnel = intercepted(place, key)
        tunnel.sendall(PLAIN.replace(b"https://api.openai.com", b"") + shown(basic("inner", "secret")))
        assert tunnel.recv(65536).startswith(b"HTTP/1.1 200")
        tunnel.close()
        said = place.proxy.said()
    assert "proxy-authorization" not in str([request.headers for request, _ in upstream.exchanges]).lower()
    assert len(upstream.exchanges) == 2
    assert said.count("spy: request") == 2
    assert said.count("spy: connect") == 1
    assert "spy: CREDENTIALS" not in said


def test_without_a_key_needed_one_that_is_shown_still_tells_whose_it_is(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream
) -> None:
    upstream.serve(answer(chat_json("c1", text="Hi")))
    with gated(start_proxy, auth="auto") as place:
        for value, who in ((basic("gina", place.people.key("gina")), user_id("gina")), (basic("x", "wrong"), None)):
            plain = place.dial()
            plain.sendall(CONNECT + shown(value))
            assert read_answer(plain).status == 200
            with place.proxy.trust().wrap_socket(plain, server_hostname=HOST) as tunnel:
                assert chat(tunnel).status == 200
            record = place.proxy.record()
            assert record["initiator_id"] == who or (who is None and record["api_key_id"] is None)


def test_a_connection_is_not_held_open_for_whoever_shows_no_key(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream
) -> None:
    upstream.serve(answer(chat_json("c1", text="Hi")))
    with gated(lambda **how: start_proxy("hurry.py", **how)) as place:
        known = intercepted(place, place.people.key())
        strangers = [place.dial() for _ in range(4)]
        for stranger, said in zip(
            strangers, (b"", b"PRI * HT", b"GET http://x/ HTTP/1.1\r\nX: ", b"\x16\x03"), strict=True
        ):
            stranger.sendall(said)
        for stranger in strangers:
            with stranger:
                assert rest(stranger) == b""
        assert chat(known).status == 200
        known.close()
