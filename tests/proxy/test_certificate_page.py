"""The proxy's own page through a real proxy: it answers for itself, is never forwarded, and hides nobody else."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from aitap.certs.authority import certificates, ensure_authority
from tests.proxy.client import TIMEOUT
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.upstream import Upstream, answer

Start = Callable[..., Mitmdump]


def ask(
    proxy: Mitmdump, target: str, method: str = "GET", port: int | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request whose target goes out as it is written; underscores in header names stand for dashes."""
    connection = http.client.HTTPConnection("127.0.0.1", port or proxy.port, timeout=TIMEOUT)
    try:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, headers=fields)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def root(proxy: Mitmdump) -> bytes:
    return ensure_authority(proxy.confdir).der


def test_a_browser_gets_the_page_with_the_address_that_it_used(proxy: Mitmdump) -> None:
    status, headers, body = ask(proxy, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert f"http://127.0.0.1:{proxy.port}/ca.pem".encode() in body


@pytest.mark.parametrize("path", ["/ca.pem", "/proxy/ca-cert.pem"])
def test_the_certificate_is_what_the_proxy_signs_under(proxy: Mitmdump, path: str) -> None:
    status, _, body = ask(proxy, path)
    assert (status, certificates(body)) == (200, [root(proxy)])


def test_der_and_bundle_are_there(proxy: Mitmdump) -> None:
    assert ask(proxy, "/ca.crt")[2] == root(proxy)
    assert root(proxy) in certificates(ask(proxy, "/ca-bundle.pem")[2])


@pytest.mark.parametrize("path", ["/", "/ca.pem", "/ca.crt", "/elsewhere"])
def test_head_gives_the_head_of_get(proxy: Mitmdump, path: str) -> None:
    with_body, head = ask(proxy, path), ask(proxy, path, "HEAD")
    assert head == (with_body[0], with_body[1], b"")


def test_two_requests_go_over_one_connection(proxy: Mitmdump) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=TIMEOUT)
    for method in ("HEAD", "GET"):
        connection.request(method, "/ca.pem")
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (200, method == "GET")
    connection.close()


@pytest.mark.parametrize("path", ["/", "/ca.pem"])
def test_the_magic_host_leads_here_through_the_proxy(proxy: Mitmdump, path: str) -> None:
    status, _, body = ask(proxy, f"http://aitap.internal{path}", host="aitap.internal")
    assert status == 200
    assert b"http://aitap.internal/ca.pem" in body or certificates(body) == [root(proxy)]


def test_mitmproxy_s_own_page_goes_on(proxy: Mitmdump) -> None:
    status, _, body = ask(proxy, "http://mitm.it/cert/pem", host="mitm.it")
    assert (status, certificates(body)) == (200, [root(proxy)])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "rebound.example.com"])
@pytest.mark.parametrize("path", ["/elsewhere", "/v1/messages"])
def test_what_is_asked_of_the_proxy_itself_is_never_forwarded(
    proxy: Mitmdump, upstream: Upstream, host: str, path: str
) -> None:
    status, _, body = ask(proxy, path, host=f"{host}:{proxy.port}")
    assert status == 404
    assert b"this is a proxy" in body
    assert upstream.exchanges == []


def test_the_proxy_s_address_through_the_proxy_is_never_forwarded(proxy: Mitmdump, upstream: Upstream) -> None:
    for host in ("127.0.0.1", "localhost"):
        status, _, body = ask(proxy, f"http://{host}:{proxy.port}/ca.pem", host=f"{host}:{proxy.port}")
        assert (status, certificates(body)) == (200, [root(proxy)])
    assert upstream.exchanges == []


def test_a_client_that_takes_the_proxy_for_a_provider_is_told_what_to_do(proxy: Mitmdump) -> None:
    status, headers, body = ask(proxy, "/v1/messages", "POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert f"HTTPS_PROXY=http://127.0.0.1:{proxy.port}".encode() in body


def test_a_proxy_that_is_spoken_to_by_tls_has_the_page_as_well(start_proxy: Start, tmp_path: Path) -> None:
    proxy = start_proxy()
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, context=proxy.trust(), timeout=TIMEOUT)
    connection.request("GET", "/ca.pem")
    assert certificates(connection.getresponse().read()) == [root(proxy)]
    connection.close()


def test_a_stranger_without_a_key_gets_nothing(start_proxy: Start) -> None:
    proxy = start_proxy(arguments=("--set", "aitap_auth=required"))
    for target in ("/", "/ca.pem", "http://aitap.internal/ca.pem", "http://mitm.it/cert/pem"):
        status, _, body = ask(proxy, target)
        assert status == 407
        assert b"CERTIFICATE" not in body


def test_a_reverse_proxy_hides_nothing_of_its_server(start_proxy: Start, upstream: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    modes = ("--mode", "regular", "--mode", f"reverse:https://api.anthropic.com@127.0.0.1:{port}")
    proxy = start_proxy(arguments=modes)
    upstream.serve(answer(b'{"of": "the server"}'))
    for path in ("/", "/ca.pem"):
        assert ask(proxy, path, port=port)[2] == b'{"of": "the server"}'
    assert ask(proxy, "/ca.pem", port=port, host="aitap.internal")[2] == b'{"of": "the server"}'
    assert len(upstream.exchanges) == 3


def test_a_request_inside_a_tunnel_is_for_its_server(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(answer(b"{}"))
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, context=proxy.trust(), timeout=TIMEOUT)
    connection.set_tunnel("api.anthropic.com", 443)
    connection.request("GET", "/ca.pem")
    assert connection.getresponse().read() == b"{}"
    assert isinstance(connection.sock, ssl.SSLSocket)
    connection.close()
    assert [request.target for request, _ in upstream.exchanges] == ["/ca.pem"]
