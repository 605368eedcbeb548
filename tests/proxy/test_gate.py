"""A stranger without a key gets 407 and nothing else, on every path there is."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from tests.proxy.gate import CHALLENGE, Gated, gated, knock, own_address, rest, shared
from tests.proxy.people import basic
from tests.proxy.plain import read_answer
from tests.proxy.raw import TIMEOUT
from tests.proxy.upstream import Upstream, answer

WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
PATHS = {
    "CONNECT": b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n",
    "CONNECT, HTTP/1.0": b"CONNECT api.openai.com:443 HTTP/1.0\r\n\r\n",
    "CONNECT to the proxy itself": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT without a port": b"CONNECT api.openai.com HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
    "absolute form": b"GET http://api.openai.com/v1/models HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
    "absolute form, TLS": b"POST https://api.openai.com/v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "origin form": b"GET /v1/models HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
    "origin form without a host": b"GET / HTTP/1.1\r\n\r\n",
    "OPTIONS": b"OPTIONS * HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
    "HEAD": b"HEAD http://api.openai.com/ HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
    "WebSocket": b"GET http://api.openai.com/v1/responses HTTP/1.1\r\nHost: api.openai.com\r\n" + WEBSOCKET + b"\r\n",
    "mitmproxy's page": b"GET http://mitm.it/ HTTP/1.1\r\nHost: mitm.it\r\n\r\n",
    "mitmproxy's certificate": b"GET /cert/pem HTTP/1.1\r\nHost: mitm.it\r\n\r\n",
    "the proxy's own page": b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
    "h2c": b"GET http://api.openai.com/ HTTP/1.1\r\nHost: api.openai.com\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    "smuggling": b"POST http://api.openai.com/ HTTP/1.1\r\nHost: api.openai.com\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a broken head": b"GET http://api.openai.com/ HTTP/1.1\r\nno colon here\r\n\r\n",
    "no head at all": b"what is this\r\n\r\n",
    "a bad version": b"GET http://api.openai.com/ HTTP/9\r\n\r\n",
}
BODIES = {
    "a body that waits": b"POST http://api.openai.com/ HTTP/1.1\r\nHost: api.openai.com\r\nContent-Length: 9999999\r\n"
    b"Expect: 100-continue\r\n\r\n",
    "a chunked body": b"POST http://api.openai.com/ HTTP/1.1\r\nHost: api.openai.com\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
}
KEY = "aitap_" + "x" * 43
ODD = {
    "a wrong key": basic("alice", KEY),
    "a wrong key as a token": f"Bearer {KEY}",
    "colons": basic("a", "b:c:d:::"),
    "nothing": "Basic",
    "an empty value": "",
    "empty user and password": basic("", ""),
    "no colon": "Basic " + base64.b64encode(b"alice").decode(),
    "no base64": "Basic !!!!",
    "cut base64": "Basic YWxpY2U6c2VjcmV",
    "no UTF-8": "Basic " + base64.b64encode(b"\xff\xfe:\xff\x00\xfe").decode(),
    "UTF-8": basic("Zoë", "пароль"),
    "another scheme": "Digest username=alice",
    "NTLM": "NTLM TlRMTVNTUAABAAAA",
    "words": "Basic a b c d",
    "a long one": "Basic " + "QUJD" * 4000,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Gated]:
    with gated(shared(tmp_path_factory, confdir, _provider)) as place:
        yield place
        place.proxy.stop()


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_there_is_407_and_the_provider_hears_nothing(path: str, place: Gated, upstream: Upstream) -> None:
    found = knock(place, PATHS[path], own_address())

    assert found.status == 407
    assert found.headers["proxy-authenticate"] == CHALLENGE
    assert "server" not in found.headers
    assert found.text.startswith("aitap: this proxy wants a key") or path == "HEAD"
    assert upstream.exchanges == []


@pytest.mark.parametrize("form", ["CONNECT", "absolute form", "WebSocket"])
@pytest.mark.parametrize("odd", ODD)
def test_credentials_that_are_none_give_407(odd: str, form: str, place: Gated, upstream: Upstream) -> None:
    request = PATHS[form][:-2] + f"Proxy-Authorization: {ODD[odd]}\r\n\r\n".encode("latin-1")

    found = knock(place, request, own_address())

    assert (found.status, found.headers["proxy-authenticate"]) == (407, CHALLENGE)
    assert upstream.exchanges == []
    assert "Traceback" not in place.proxy.said()


def test_headers_that_contradict_each_other_give_407_though_one_is_right(place: Gated) -> None:
    key = place.people.key()
    twice = f"Proxy-Authorization: {basic('a', key)}\r\nproxy-authorization: {basic('b', KEY)}\r\n\r\n".encode()
    assert knock(place, PATHS["CONNECT"][:-2] + twice, own_address()).status == 407


def test_a_head_that_is_too_long_gives_407_too(place: Gated) -> None:
    long = b"GET http://api.openai.com/ HTTP/1.1\r\n" + b"X-Pad: " + b"a" * 100_000 + b"\r\n\r\n"
    assert knock(place, long, own_address()).status == 407


def test_requests_sent_ahead_are_refused_each(place: Gated, upstream: Upstream) -> None:
    request = PATHS["absolute form"]
    last = request[:-2] + b"Connection: close\r\n\r\n"
    with place.dial(own_address()) as connection:
        connection.sendall(request * 4 + last)
        came = rest(connection)
    assert came.count(b"HTTP/1.1 ") == came.count(b"HTTP/1.1 407 ") == 5
    assert upstream.exchanges == []


def test_a_client_that_does_not_wait_for_the_answer_to_connect_gets_nothing_else(
    place: Gated, upstream: Upstream
) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n"
    with place.dial(own_address()) as connection:
        connection.sendall(PATHS["CONNECT"] + hello)
        came = rest(connection)
    assert came.count(b"HTTP/1.") == came.count(b"HTTP/1.1 407 ") == 2
    assert upstream.exchanges == []


@pytest.mark.parametrize("path", BODIES)
def test_the_refusal_does_not_wait_for_a_body(path: str, place: Gated, upstream: Upstream) -> None:
    with place.dial(own_address()) as connection:
        connection.sendall(BODIES[path])
        assert connection.recv(65536).startswith(b"HTTP/1.1 407 ")
    assert upstream.exchanges == []


def test_a_connection_on_which_nobody_is_let_in_ends_after_some_tries(place: Gated) -> None:
    with place.dial(own_address()) as connection:
        for _ in range(8):
            connection.sendall(PATHS["CONNECT"])
            last = read_answer(connection)
            assert last.status == 407
        assert last.closed


def test_connect_may_be_tried_again_with_the_key_on_the_same_connection(place: Gated) -> None:
    """git and `curl --anyauth` send no credentials until they are asked."""
    header = f"Proxy-Authorization: {basic('alice', place.people.key())}\r\n\r\n".encode()
    with place.dial(own_address()) as connection:
        connection.sendall(PATHS["CONNECT"])
        first = read_answer(connection)
        assert (first.status, first.closed) == (407, False)
        connection.sendall(PATHS["CONNECT"][:-2] + header)
        assert read_answer(connection).status == 200


def test_tls_to_the_proxy_itself_changes_nothing(place: Gated, upstream: Upstream) -> None:
    with tls_to(place, ["http/1.1"]) as connection:
        connection.sendall(PATHS["CONNECT"])
        assert read_answer(connection).status == 407
        connection.sendall(PATHS["origin form without a host"])
        assert read_answer(connection).status == 407
    assert upstream.exchanges == []


@pytest.mark.parametrize("tls", [True, False], ids=["by ALPN", "with prior knowledge"])
def test_each_stream_of_http2_gets_its_407(tls: bool, place: Gated, upstream: Upstream) -> None:
    connection = tls_to(place, ["h2"]) if tls else place.dial(own_address())
    http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    http.initiate_connection()
    requests: list[dict[str, str]] = [
        {":method": "GET", ":scheme": "http", ":authority": "api.openai.com", ":path": "/v1/models"},
        {":method": "GET", ":scheme": "ftp", ":authority": "api.openai.com", ":path": "/"},
        {":method": "POST", ":scheme": "https", ":authority": "mitm.it", ":path": "/"},
        {
            ":method": "GET",
            ":scheme": "https",
            ":authority": "a.b",
            ":path": "/",
            "proxy-authorization": ODD["no base64"],
        },
    ]
    with connection:
        for number, fields in enumerate(requests):
            http.send_headers(2 * number + 1, list(fields.items()), end_stream=True)
        connection.sendall(http.data_to_send())
        heads: dict[int, dict[str, str]] = {}
        while len(heads) < len(requests):
            data = connection.recv(65536)
            assert data, f"the proxy ended the connection after {heads}"
            for event in http.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    heads[event.stream_id] = dict(event.headers)
            connection.sendall(http.data_to_send())

    assert {head[":status"] for head in heads.values()} == {"407"}
    assert {head["proxy-authenticate"] for head in heads.values()} == {CHALLENGE}
    assert not any("connection" in head for head in heads.values())
    assert upstream.exchanges == []


def test_connect_over_http2_opens_nothing(place: Gated, upstream: Upstream) -> None:
    fields = {":method": "CONNECT", ":authority": "api.openai.com:443"}
    whole = fields | {":scheme": "https", ":path": "/"}
    for head in (fields, whole):
        with tls_to(place, ["h2"]) as connection:
            http = h2.connection.H2Connection(
                h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False)
            )
            http.initiate_connection()
            http.send_headers(1, list(head.items()))
            connection.sendall(http.data_to_send())
            statuses: list[str] = []
            ended = False
            while not ended and not statuses:
                data = connection.recv(65536)
                ended = not data
                for event in http.receive_data(data) if data else ():
                    if isinstance(event, h2.events.ResponseReceived):
                        statuses.append(dict(event.headers)[":status"])
                    ended = ended or isinstance(event, h2.events.ConnectionTerminated)
            assert statuses in ([], ["407"])
    assert upstream.exchanges == []


def test_a_key_opens_what_was_closed(place: Gated, upstream: Upstream) -> None:
    upstream.serve(answer(b"{}"))
    header = f"Proxy-Authorization: {basic('alice', place.people.key())}\r\n\r\n".encode()
    assert knock(place, PATHS["absolute form, TLS"].replace(b"\r\n\r\n", b"\r\n" + header)).status == 200
    assert "proxy-authorization" not in upstream.exchanges[0][0].headers


def test_refusals_are_told_without_what_was_shown(place: Gated) -> None:
    secret = "aitap_" + "S3cret" * 7 + "x"
    request = PATHS["CONNECT"][:-2] + f"Proxy-Authorization: {basic('mallory', secret)}\r\n\r\n".encode()
    source = own_address()
    knock(place, request, source)
    said = place.proxy.said()
    assert f"refused CONNECT to api.openai.com:443 from {source}: key wrong" in said
    assert secret not in said
    assert "mallory" not in said


def tls_to(place: Gated, alpn: list[str]) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(place.proxy.certificate))
    context.check_hostname = False
    context.set_alpn_protocols(alpn)
    plain = place.dial(own_address())
    plain.settimeout(TIMEOUT)
    connection = context.wrap_socket(plain)
    assert connection.selected_alpn_protocol() == alpn[0]
    return connection
