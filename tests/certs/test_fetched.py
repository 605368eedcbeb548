"""The CA of a proxy elsewhere: fetched as a certificate, kept with care, never with a key."""

from __future__ import annotations

import base64
import hashlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aitap.certs.authority import AuthorityError
from aitap.certs.fetched import certificate_file, fetch, fetched_path, same_fingerprint, save
from aitap.certs.proxy_address import ProxyAddress, parse
from tests.checkup.making import DAY, NOW, make_ca


class Page(http.server.BaseHTTPRequestHandler):
    """The certificate page of a proxy that wants a key."""

    body = b""
    status = 200

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(b"alice:KEY").decode()
        status = self.status if self.headers.get("Proxy-Authorization") == wanted else 407
        if self.path != "/ca.pem":
            status = 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[type[Page]]:
    class Own(Page):
        port = 0

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own)
    Own.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Own
    server.shutdown()
    server.server_close()


def address(page: type[Page], credentials: str = "alice:KEY@") -> ProxyAddress:
    return parse(f"http://{credentials}127.0.0.1:{page.port}")  # type: ignore[attr-defined]


def test_the_certificate_comes_for_the_key(page: type[Page], tmp_path: Path) -> None:
    der = make_ca(tmp_path)
    page.body = (tmp_path / "mitmproxy-ca-cert.pem").read_bytes()
    assert fetch(address(page)) == der


@pytest.mark.parametrize(("credentials", "words"), [("", "wants a key"), ("alice:WRONG@", "refuses this key")])
def test_without_the_key_it_is_said_what_to_do(page: type[Page], credentials: str, words: str) -> None:
    with pytest.raises(AuthorityError, match=words) as caught:
        fetch(address(page, credentials))
    assert "WRONG" not in str(caught.value)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("key", "holds a private key"),
        ("nothing", "holds no certificate"),
        ("expired", "expired on"),
        ("leaf", "is no CA"),
        ("status", "answers 500"),
    ],
)
def test_what_is_no_ca_certificate_is_refused(what: str, words: str, page: type[Page], tmp_path: Path) -> None:
    make_ca(tmp_path, NOW - 9 * DAY, NOW + (-1 if what == "expired" else 9) * DAY)
    page.body = (tmp_path / ("mitmproxy-ca.pem" if what == "key" else "mitmproxy-ca-cert.pem")).read_bytes()
    if what == "nothing":
        page.body = b"<html>"
    if what == "leaf":
        page.body = ssl.DER_cert_to_PEM_cert(b"\x30\x03\x02\x01\x05").encode()
    if what == "status":
        page.status = 500
    with pytest.raises(AuthorityError, match=words):
        fetch(address(page))


def test_nobody_there_is_one_line(page: type[Page]) -> None:
    with pytest.raises(AuthorityError, match=r"no proxy answers at 127\.0\.0\.1:1"):
        fetch(parse("127.0.0.1:1"))


def test_another_certificate_is_never_replaced_silently(tmp_path: Path) -> None:
    first, second = make_ca(tmp_path / "a"), make_ca(tmp_path / "b")
    path = tmp_path / "kept" / "ca.pem"
    assert save(first, path, replace=False)
    assert not save(first, path, replace=False)
    with pytest.raises(AuthorityError, match="--replace"):
        save(second, path, replace=False)
    assert certificate_file(path).der == first
    assert save(second, path, replace=True)
    assert certificate_file(path).der == second


def test_a_fingerprint_may_be_written_in_any_way(tmp_path: Path) -> None:
    der = make_ca(tmp_path)
    digest = hashlib.sha256(der).hexdigest()
    for text in (digest, digest.upper(), hashlib.sha256(der).digest().hex(":"), f" {digest} "):
        assert same_fingerprint(der, text)
    assert not same_fingerprint(der, "00" * 32)
    for text in ("", "ab", "xyz", "00" * 20):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            same_fingerprint(der, text)


def test_each_proxy_has_a_place_of_its_own() -> None:
    places = {fetched_path(parse(text)) for text in ("a:1", "a:2", "b:1", "[::1]:1")}
    assert len(places) == 4
    assert all(path.name == "ca.pem" and ":" not in path.parent.name for path in places)
