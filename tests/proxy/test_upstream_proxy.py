"""Through a company's proxy to the Internet: tunnels, intercepted calls and plain requests."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proxy.client import OPENAI, exchange
from tests.proxy.company import CompanyCA, CompanyProxy
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.plain import ask, dial
from tests.proxy.raw import Listener, open_socks, open_tunnel
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import chat_json

ASKED = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hi"}]}'
PASSWORD = "p@ss:w%rd/ü-not-real"
IN_URL = "staff:p%40ss%3Aw%25rd%2F%C3%BC-not-real"

Start = Callable[..., tuple[Mitmdump, CompanyProxy]]


@pytest.fixture
def start(start_proxy: Callable[..., Mitmdump], upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """A proxy behind a company's."""
    companies: list[CompanyProxy] = []

    def started(
        company: CompanyProxy, credentials: str = "", scheme: str = "http", **how: object
    ) -> tuple[Mitmdump, CompanyProxy]:
        companies.append(company)
        at = f"{credentials}@" if credentials else ""
        monkeypatch.setenv("AITAP_UPSTREAM", f"{scheme}://{at}127.0.0.1:{company.port}")
        return start_proxy(network="names.py", **how), company

    yield started
    for company in companies:
        company.close()


@pytest.fixture
def echo() -> Iterator[Listener]:
    """What is behind tunnels: says back what it hears."""

    def handler(connection: object) -> None:
        while piece := connection.recv(65536):  # type: ignore[attr-defined]
            connection.sendall(piece)  # type: ignore[attr-defined]

    listener = Listener(handler)
    yield listener
    listener.close()


def test_a_tunnel_goes_through_it_with_the_credentials(start: Start, echo: Listener) -> None:
    proxy, company = start(CompanyProxy(echo.port, password=f"staff:{PASSWORD}"), IN_URL)
    with open_tunnel(proxy, "files.example.com") as tunnel:
        tunnel.sendall(b"\x00\x01 no HTTP")
        assert tunnel.recv(100) == b"\x00\x01 no HTTP"
    assert company.asked == ["CONNECT files.example.com:443 HTTP/1.1"]
    assert company.refused == []


@pytest.mark.parametrize("strategy", ["lazy", "eager"])
def test_a_call_of_a_model_goes_through_it_and_is_recorded(start: Start, upstream: Upstream, strategy: str) -> None:
    upstream.serve(answer(chat_json("c1", text="Hi")))
    arguments = ("--set", f"connection_strategy={strategy}")
    proxy, company = start(CompanyProxy(upstream.port, password=f"staff:{PASSWORD}"), IN_URL, arguments=arguments)
    assert exchange(proxy, OPENAI, "/v1/chat/completions", ASKED)[0] == 200
    assert proxy.record()["outcome"] == "completed"
    assert company.asked == ["CONNECT api.openai.com:443 HTTP/1.1"]
    assert "authorization" not in " ".join(upstream.exchanges[0][0].headers)


def test_a_plain_request_goes_to_it_in_absolute_form(start: Start) -> None:
    proxy, company = start(CompanyProxy(0, password=f"staff:{PASSWORD}"), IN_URL)
    told = ask(proxy, b"GET http://example.com/a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert (told.status, told.body) == (200, b"plain")
    assert company.asked == ["GET http://example.com/a?b=c HTTP/1.1"]


def test_socks_goes_through_it_too(start: Start, echo: Listener) -> None:
    proxy, company = start(CompanyProxy(echo.port), arguments=("--mode", "socks5"))
    with open_socks(proxy, "files.example.com") as tunnel:
        tunnel.sendall(b"\x00\x01 no HTTP")
        assert tunnel.recv(100) == b"\x00\x01 no HTTP"
    assert company.asked == ["CONNECT files.example.com:443 HTTP/1.1"]


def test_this_machine_is_reached_without_it(start: Start, echo: Listener) -> None:
    proxy, company = start(CompanyProxy(0))
    with open_tunnel(proxy, "localhost", echo.port) as tunnel:
        tunnel.sendall(b"\x00\x01 no HTTP")
        assert tunnel.recv(100) == b"\x00\x01 no HTTP"
    assert company.asked == []


def test_where_a_client_may_not_go_it_may_not_go_through_it_either(start: Start) -> None:
    proxy, company = start(CompanyProxy(0))
    told = ask(proxy, b"CONNECT 169.254.169.254:443 HTTP/1.1\r\nHost: 169.254.169.254:443\r\n\r\n")
    assert told.status == 403
    assert company.asked == []


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "403"),
        (b"\x15\x03\x01 garbage\r\n\r\n", ""),
        (b"HTTP/1.1 2", ""),
    ],
    ids=["403", "garbage", "cut off"],
)
def test_an_upstream_proxy_that_will_not_is_502_for_the_client_and_an_error_in_the_record(
    start: Start, says: bytes, why: str
) -> None:
    proxy, _ = start(CompanyProxy(0, says=says))
    status, body = exchange(proxy, OPENAI, "/v1/chat/completions", ASKED)
    assert status == 502
    assert why in body.decode()
    record = proxy.record()
    assert record["outcome"] == "failed"
    assert record["error_message"]


@pytest.mark.parametrize("says", [b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", b"garbage\r\n\r\n", b"H"])
def test_a_tunnel_that_it_will_not_open_is_502_before_the_client_speaks(start: Start, says: bytes) -> None:
    proxy, _ = start(CompanyProxy(0, says=says))
    told = ask(proxy, b"CONNECT files.example.com:443 HTTP/1.1\r\nHost: files.example.com:443\r\n\r\n")
    assert (told.status, told.closed) == (502, True)
    assert "there is no way to files.example.com" in told.text


def test_what_a_client_sends_before_the_tunnel_is_open_arrives(start: Start, echo: Listener) -> None:
    proxy, _ = start(CompanyProxy(echo.port))
    with dial(proxy) as tunnel:
        tunnel.sendall(b"CONNECT files.example.com:443 HTTP/1.1\r\nHost: files.example.com:443\r\n\r\n\x00early")
        assert everything_until(tunnel, b"early").startswith(b"HTTP/1.1 200")


def test_a_call_in_a_tunnel_by_another_name_is_decrypted_and_answered(start: Start, upstream: Upstream) -> None:
    """The way is open by then, since only TLS tells whom it is for."""
    upstream.serve(answer(chat_json("c1", text="Hi")))
    proxy, _ = start(CompanyProxy(upstream.port))
    tunnel = open_tunnel(proxy, "gateway.example.com")
    with proxy.trust().wrap_socket(tunnel, server_hostname=OPENAI) as inner:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {OPENAI}\r\ncontent-length: {len(ASKED)}\r\n\r\n"
        inner.sendall(head.encode() + ASKED)
        # To its end: who leaves earlier is recorded as one who left.
        assert everything_until(inner, chat_json("c1", text="Hi")).startswith(b"HTTP/1.1 200")
    assert proxy.record()["outcome"] == "completed"


def everything_until(connection: socket.socket, end: bytes) -> bytes:
    found = b""
    while not found.endswith(end):
        piece = connection.recv(100)
        assert piece, found
        found += piece
    return found


@pytest.mark.parametrize("target", ["CONNECT", "plain"])
def test_wrong_credentials_are_the_operators_matter_and_not_a_407_for_the_client(start: Start, target: str) -> None:
    proxy, company = start(CompanyProxy(0, password="staff:other"), IN_URL)
    if target == "plain":
        told = ask(proxy, b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n")
        status, body = told.status, told.body
    else:
        status, body = exchange(proxy, OPENAI, "/v1/chat/completions", ASKED)
    assert status == 502
    assert b"407" in body
    assert len(company.refused) == 1


def test_an_upstream_proxy_that_is_down_is_502(start: Start) -> None:
    company = CompanyProxy(0)
    company.close()
    proxy, _ = start(company)
    assert exchange(proxy, OPENAI, "/v1/chat/completions", ASKED)[0] == 502
    assert proxy.record()["outcome"] == "failed"


def test_what_it_signs_itself_is_trusted_where_its_ca_is_in_upstream_ca(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = CompanyCA(tmp_path)
    monkeypatch.setenv("AITAP_UPSTREAM_CA", str(ca.path))
    proxy, _ = start(CompanyProxy(0, ca=ca, inspect=True), verify=True)
    status, body = exchange(proxy, OPENAI, "/v1/chat/completions", ASKED)
    assert (status, body) == (200, b"inspected")


def test_what_it_signs_itself_is_not_trusted_otherwise_and_the_log_says_what_to_do(
    start: Start, tmp_path: Path
) -> None:
    proxy, _ = start(CompanyProxy(0, ca=CompanyCA(tmp_path), inspect=True), verify=True)
    assert [exchange(proxy, OPENAI, "/v1/chat/completions", ASKED)[0] for _ in range(2)] == [502, 502]
    until(lambda: f"shown for {OPENAI} is not from a CA" in proxy.said(), "the advice in the log")
    assert proxy.said().count("set upstream_ca") == 1


def test_a_proxy_that_speaks_tls_itself_is_trusted_by_the_same_file(
    start: Start, tmp_path: Path, echo: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = CompanyCA(tmp_path)
    monkeypatch.setenv("AITAP_UPSTREAM_CA", str(ca.path))
    company = CompanyProxy(echo.port, password=f"staff:{PASSWORD}", ca=ca, tls=True)
    proxy, _ = start(company, IN_URL, scheme="https", verify=True)
    with open_tunnel(proxy, "files.example.com") as tunnel:
        tunnel.sendall(b"\x00\x01 no HTTP")
        assert tunnel.recv(100) == b"\x00\x01 no HTTP"
    told = ask(proxy, b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert told.body == b"plain"


def test_its_password_is_in_no_log_and_no_process_list(start: Start, upstream: Upstream) -> None:
    upstream.serve(answer(chat_json("c1", text="Hi")))
    company = CompanyProxy(upstream.port, password=f"staff:{PASSWORD}")
    proxy, _ = start(company, IN_URL, arguments=("--flow-detail", "4"), visible=True)
    exchange(proxy, OPENAI, "/v1/chat/completions", ASKED)
    ask(proxy, b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n")
    proxy.record()
    listed = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    for secret in (PASSWORD, IN_URL, "c3RhZmY6"):  # the last begins the Basic credentials
        assert secret not in proxy.said()
        assert secret not in listed


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("socks5://127.0.0.1:1080", "neither http:// nor https://"),
        ("127.0.0.1:3128", "neither http:// nor https://"),
        ("http://:@proxy.example.com:3128", "neither user nor password"),
        ("http://staff:planted-secret@:3128", "no address of a proxy"),
        ("http://staff:planted-secret@proxy.example.com:99999", "no address of a proxy"),
        ("http://staff:planted-secret@proxy.example.com/path", "no address of a proxy"),
    ],
)
def test_an_upstream_that_cannot_be_read_is_one_line_at_the_start_without_its_password(
    start_proxy: Callable[..., Mitmdump], monkeypatch: pytest.MonkeyPatch, url: str, problem: str
) -> None:
    monkeypatch.setenv("AITAP_UPSTREAM", url)
    with pytest.raises(AssertionError, match="the proxy ended") as caught:
        start_proxy()
    told = str(caught.value)
    assert problem in told
    assert "planted-secret" not in told
    assert "Traceback" not in told


def test_a_ca_that_cannot_be_read_is_one_line_at_the_start(
    start_proxy: Callable[..., Mitmdump], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate here")
    monkeypatch.setenv("AITAP_UPSTREAM_CA", str(empty))
    with pytest.raises(AssertionError, match="there is no certificate in this file"):
        start_proxy(verify=True)
