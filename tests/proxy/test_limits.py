"""How much a client may send and hold open, through a real proxy."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proxy.client import ANTHROPIC, OPENAI, Http2Client, connect, exchange, post
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.plain import Answer, ask, connect_to, dial, read_answer
from tests.proxy.raw import everything
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import chat_json

LIMIT = 20_000
ASKED = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hi"}]}'


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Mitmdump]:
    """A proxy with small limits that decrypts everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITAP_BODY_LIMIT", str(LIMIT))
        patch.setenv("AITAP_HEADER_LIMIT", "8k")
        patch.setenv("AITAP_DECRYPT", "all")
        patch.setenv("AITAP_ALLOW_PORTS", f"443,80,{_provider.port}")
        proxy = Mitmdump(tmp_path_factory.mktemp("narrow"), confdir, _provider)
    yield proxy
    proxy.stop()


def refused(status: int, body: bytes) -> None:
    """A 413 that clients of every provider can show."""
    assert status == 413
    told = json.loads(body)
    assert told["type"] == "error"
    assert "AITAP_BODY_LIMIT" in told["error"]["message"]


# Bodies


def test_a_body_within_the_limit_passes_and_so_does_a_longer_response(narrow: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(answer(b"x" * 5 * LIMIT, "application/octet-stream"))
    assert exchange(narrow, "files.example.com", "/upload", b"y" * LIMIT) == (200, b"x" * 5 * LIMIT)
    assert upstream.exchanges[-1][0].body == b"y" * LIMIT


def test_a_body_whose_length_is_known_is_refused_on_its_head(narrow: Mitmdump, upstream: Upstream) -> None:
    connection = connect(narrow, "files.example.com")
    connection.putrequest("POST", "/upload")
    connection.putheader("content-length", str(LIMIT + 1))
    connection.endheaders()
    response = connection.getresponse()
    refused(response.status, response.read())
    assert response.headers["connection"] == "close"
    assert upstream.exchanges == []


def test_whoever_sends_all_of_it_still_gets_the_answer(narrow: Mitmdump, upstream: Upstream) -> None:
    refused(*exchange(narrow, "files.example.com", "/upload", b"y" * 3_000_000))
    assert upstream.exchanges == []


@pytest.mark.parametrize(("host", "path"), [(OPENAI, "/v1/chat/completions"), ("files.example.com", "/upload")])
def test_a_body_in_chunks_is_refused_when_it_exceeds_the_limit(
    narrow: Mitmdump, upstream: Upstream, host: str, path: str
) -> None:
    connection = connect(narrow, host)
    connection.putrequest("POST", path)
    connection.putheader("transfer-encoding", "chunked")
    connection.endheaders()
    connection.send(b"4e20\r\n" + b"y" * LIMIT + b"\r\n")
    connection.send(b"1\r\ny\r\n")
    response = connection.getresponse()
    refused(response.status, response.read())
    assert all(len(request.body) <= LIMIT for request, _ in upstream.exchanges)


def test_a_plain_request_is_held_to_it_as_well(narrow: Mitmdump, upstream: Upstream) -> None:
    head = f"POST http://files.example.com/ HTTP/1.1\r\nHost: files.example.com\r\ncontent-length: {LIMIT + 1}\r\n\r\n"
    told = ask(narrow, head.encode())
    refused(told.status, told.body)
    assert told.closed


def test_a_client_that_asks_first_is_told_no_without_a_100(narrow: Mitmdump) -> None:
    connection = connect(narrow, "files.example.com")
    connection.putrequest("POST", "/upload")
    connection.putheader("content-length", str(LIMIT + 1))
    connection.putheader("expect", "100-continue")
    connection.endheaders()
    response = connection.getresponse()
    refused(response.status, response.read())


def test_http2_is_held_to_it_and_the_connection_goes_on(narrow: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(answer(chat_json("c1", text="Hi")))
    client = Http2Client(narrow, OPENAI)
    stream = client._http.get_next_available_stream_id()
    fields = {":method": "POST", ":scheme": "https", ":authority": OPENAI, ":path": "/v1/chat/completions"}
    client._http.send_headers(stream, list(fields.items()))
    client.bodies[stream] = b""
    for _ in range(3):
        client._http.send_data(stream, b"y" * 10_000)
    client._socket.sendall(client._http.data_to_send())
    client.until(lambda client: stream in client.heads and client.bodies[stream])
    refused(int(client.heads[stream][":status"]), client.bodies[stream])
    after = client.post("/v1/chat/completions", ASKED)
    client.until(lambda client: after in client.ended)
    assert client.heads[after][":status"] == "200"
    client.close()


def test_a_model_call_that_is_too_long_is_recorded_as_refused(narrow: Mitmdump) -> None:
    narrow.forget()
    status, body = exchange(narrow, ANTHROPIC, "/v1/messages", json.dumps({"padding": "x" * LIMIT}).encode())
    refused(status, body)
    record = narrow.record(provider="anthropic")
    assert (record["outcome"], record["status_code"]) == ("failed", 413)


# Bodies that nobody records


def test_a_long_upload_that_nobody_records_is_passed_on_as_it_comes(proxy_all: Mitmdump, upstream: Upstream) -> None:
    """The provider has the first bytes while the client has not sent the last."""
    upstream.serve(answer(b"done"))
    connection = connect(proxy_all, "files.example.com")
    connection.putrequest("PUT", "/upload")
    connection.putheader("content-length", "3000000")
    connection.endheaders()
    connection.send(b"y" * 1_000_000)
    until(lambda: "server connect files.example.com" in proxy_all.said(), "the connection to the provider")
    connection.send(b"y" * 2_000_000)
    assert connection.getresponse().read() == b"done"
    assert len(upstream.exchanges[-1][0].body) == 3_000_000


def test_a_long_model_call_is_taken_in_whole_and_recorded(proxy_all: Mitmdump, upstream: Upstream) -> None:
    proxy_all.forget()
    upstream.serve(answer(chat_json("c1", text="Hi")))
    text = "word " * 400_000
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).encode()
    assert exchange(proxy_all, OPENAI, "/v1/chat/completions", body)[0] == 200
    assert proxy_all.record()["outcome"] == "completed"


@pytest.fixture(scope="module")
def proxy_all(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Mitmdump]:
    """A proxy without limits that decrypts everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITAP_DECRYPT", "all")
        proxy = Mitmdump(tmp_path_factory.mktemp("wide"), confdir, _provider)
    yield proxy
    proxy.stop()


# Heads


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nx-long: " + b"y" * 9000 + b"\r\n\r\n",
        b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nx-long: " + b"y" * 9000,
        b"GET http://example.com/" + b"y" * 9000,
        b"CONNECT example.com:443 HTTP/1.1\r\n" + b"x-many: y\r\n" * 1000 + b"\r\n",
    ],
    ids=["whole", "growing", "target", "connect"],
)
@pytest.mark.parametrize("segment", [100_000, 700])
def test_a_head_that_is_too_long_is_answered_431_whole_or_still_growing(
    narrow: Mitmdump, head: bytes, segment: int
) -> None:
    with dial(narrow) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for start in range(0, len(head), segment):
                connection.sendall(head[start : start + segment])
        except ConnectionError:
            pass  # it has answered and closed by now
        told = read_answer(connection)
    assert told.status == 431
    assert "AITAP_HEADER_LIMIT" in told.text


def test_a_head_that_is_too_long_is_refused_inside_tls(narrow: Mitmdump, upstream: Upstream) -> None:
    connection = connect(narrow, OPENAI)
    response = post(connection, "/v1/chat/completions", ASKED, x_long="y" * 9000)
    assert (response.status, response.headers["connection"]) == (431, "close")
    assert upstream.exchanges == []


def test_a_head_within_the_limit_and_a_body_in_one_segment_pass(narrow: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(answer(b"fine"))
    body = b"y" * 15_000
    head = b"POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nx-long: " + b"y" * 7000 + b"\r\n"
    told = plain_with_body(narrow, head, body)
    assert told.status != 431


def test_a_line_between_chunks_that_does_not_end_ends_the_connection(narrow: Mitmdump) -> None:
    with dial(narrow) as connection:
        connection.sendall(
            b"POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\ntransfer-encoding: chunked\r\n\r\n1;"
        )
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                connection.sendall(b"y" * 1000)
        with contextlib.suppress(ConnectionError):
            assert b" 200 " not in everything(connection)


def test_http2_says_its_limit_and_ends_a_connection_that_exceeds_it(narrow: Mitmdump) -> None:
    client = Http2Client(narrow, OPENAI)
    client.post("/v1/chat/completions", ASKED, x_long="y" * 9000)
    with pytest.raises((AssertionError, ConnectionError)):
        client.until(lambda client: False)
    assert client._http.remote_settings.max_header_list_size == 8192


# Connections


def test_a_user_has_so_many_connections_and_gets_429_for_one_more(
    start_proxy: Callable[..., Mitmdump], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AITAP_CONNECTION_LIMIT", "2")
    proxy = start_proxy()
    held = [dial(proxy), dial(proxy)]
    for connection in held:
        connection.sendall(b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    told = connect_to(proxy, "api.openai.com:443")
    assert (told.status, told.closed, told.headers["retry-after"]) == (429, True, "5")
    assert "AITAP_CONNECTION_LIMIT" in told.text
    plain = ask(proxy, b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert plain.status == 429

    held.pop().close()

    def free() -> Answer | None:
        told = connect_to_held(proxy, held)
        return told if told.status == 200 else None

    assert until(free, "a connection in place of the closed one")
    for connection in held:
        connection.close()


def connect_to_held(proxy: Mitmdump, held: list[socket.socket]) -> Answer:
    connection = dial(proxy)
    connection.sendall(b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n")
    told = read_answer(connection)
    held.append(connection)
    return told


def plain_with_body(proxy: Mitmdump, head: bytes, body: bytes) -> Answer:
    return ask(proxy, head + b"content-length: %d\r\n\r\n" % len(body) + body)
