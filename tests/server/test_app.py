"""What holds for every response: headers, sizes, compression, the certificate, what is no endpoint."""

from __future__ import annotations

import gzip
import http.client
import socket
from pathlib import Path
from ssl import PEM_cert_to_DER_cert
from urllib.parse import quote

import msgspec
import pytest

from aitap.certs.authority import ensure_authority
from aitap.server import connections
from aitap.server.connections import HEAD
from aitap.server.endpoints import ENDPOINTS, PREFIXES
from aitap.server.parameters import LONGEST
from tests.server.conftest import Serve
from tests.server.site import LISTS, Site

SESSIONS = f"{LISTS}/sessions"
FORM = (
    b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 9\r\n\r\n"
)


@pytest.mark.parametrize("path", [SESSIONS, f"{SESSIONS}/none", "/healthz", "/nowhere", f"{SESSIONS}?limit=0"])
def test_every_response_keeps_browsers_from_harm(shared: Site, path: str) -> None:
    headers = shared.get(path, headers={"Origin": "https://example.com"}).headers
    assert headers["content-type"] == "application/json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert not [name for name in headers if name.startswith("access-control")]
    assert "server" not in headers


def test_a_long_answer_is_packed_for_who_can_unpack_it(shared: Site) -> None:
    plain = shared.get(f"{LISTS}/interceptions")
    packed = shared.get(f"{LISTS}/interceptions", headers={"Accept-Encoding": "br, gzip"})
    assert (packed.headers["content-encoding"], plain.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(packed.data) == plain.data
    assert "content-encoding" not in shared.get("/healthz", headers={"Accept-Encoding": "gzip"}).headers


@pytest.mark.parametrize("path", ["/nowhere", "/api/v2/aibridge", f"{SESSIONS}//", "/api/v2/ai-gateway/serve", "/../x"])
def test_what_is_no_endpoint_is_a_404(shared: Site, path: str) -> None:
    reply = shared.get(path)
    assert reply.status == 404
    assert reply.json["message"] in ("Route not found.", "Session not found.")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(shared: Site, method: str) -> None:
    reply = shared.get(SESSIONS, method=method)
    assert (reply.status, reply.json) == (405, {"message": "Method not allowed."})
    assert "GET" in reply.headers["allow"]


def test_head_is_get_without_a_body(shared: Site) -> None:
    reply = shared.get(SESSIONS, method="HEAD")
    assert (reply.status, reply.data) == (200, b"")


def test_a_large_body_is_refused_unread(shared: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=60)
    connection.putrequest("GET", SESSIONS)
    connection.putheader("Content-Length", str(1 << 30))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, msgspec.json.decode(answer.read())["message"]) == (413, "The request is too large.")
    connection.close()


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (2 * HEAD), b"\xff\r\n\r\n" * 100]
)
def test_a_head_without_end_or_sense_is_refused_in_words_that_arrive(shared: Site, head: bytes) -> None:
    """A connection that is closed over what is unread is reset, and the answer lost: that made a test fail at times."""
    with socket.create_connection(("127.0.0.1", shared.port), timeout=60) as connection:
        connection.sendall(head)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 400")
    assert msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])["message"] == "The request cannot be read."


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        FORM + b"key=",
    ],
    ids=["nothing", "half a head", "half a body"],
)
@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"], ids=["first", "later"])
def test_who_does_not_end_what_they_ask_is_not_waited_for(
    shared: Site, monkeypatch: pytest.MonkeyPatch, first: bytes, begun: bytes
) -> None:
    """Connections are few, and to hold one takes no key."""
    monkeypatch.setattr(connections, "_SECONDS_TO_ASK", 0.3)
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as connection:
        connection.sendall(first)
        if first:
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(begun if begun or not first else b"G")
        told = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert not told.startswith(b"HTTP/1.1 200")


def test_every_parameter_may_be_of_the_longest_at_once(shared: Site) -> None:
    longest = quote("\N{GRINNING FACE}" * LONGEST)
    for endpoint in ENDPOINTS:
        path = PREFIXES[0] + endpoint.path.replace("{session_id}", longest)
        reply = shared.get(f"{path}?{'&'.join(f'{name}={longest}' for name in endpoint.parameters)}")
        assert (reply.status, bool(reply.json["message"])) == (400, True), endpoint.path


def test_the_certificate_is_given_and_never_the_key(serve: Serve, filled: str, tmp_path: Path) -> None:
    authority = ensure_authority(tmp_path)
    site = serve(keys_needed=True)
    for prefix in ("ai-gateway", "aibridge"):
        reply = site.get(f"/api/v2/{prefix}/proxy/ca-cert.pem")
        assert reply.headers["content-type"].startswith("application/x-pem-file")
        assert reply.headers["content-disposition"] == 'attachment; filename="ca-cert.pem"'
        assert PEM_cert_to_DER_cert(reply.data.decode()) == authority.der
        assert reply.data.count(b"BEGIN") == 1
        assert b"PRIVATE" not in reply.data


def test_a_database_that_is_away_is_a_503_until_it_is_back(site: Site) -> None:
    with site.database() as database:
        database.execute_sql("ALTER TABLE aibridge_interceptions RENAME TO gone")
    reply = site.get(f"{LISTS}/models")
    assert (reply.status, reply.json, reply.headers["retry-after"]) == (
        503,
        {"message": "The database does not answer."},
        "5",
    )
    with site.database() as database:
        database.execute_sql("ALTER TABLE gone RENAME TO aibridge_interceptions")
    assert site.get(f"{LISTS}/models").status == 200
