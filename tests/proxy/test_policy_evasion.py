"""Nobody gets past an enforced policy by saying the same in other words: spelling, framing, names that disagree."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy.client import ANTHROPIC, OPENAI
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.raw import TIMEOUT, open_tunnel, trusting
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import CHAT, ask_chat, chat_json

TELEMETRY = "browser-intake-us5-datadoghq.datadoghq.com"
BODY = ask_chat("Say hi")


@pytest.fixture(scope="module")
def _denying(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Mitmdump]:
    folder = tmp_path_factory.mktemp("denying")
    file = folder / "aitap.toml"
    file.write_text('policy = "enforce"\n[[rule]]\naction = "deny"\nmodels = "gpt-*"\n', encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITAP_CONFIG", str(file))
        found = Mitmdump(folder, confdir, _provider)
    yield found
    found.stop()


@pytest.fixture
def denying(_denying: Mitmdump, upstream: Upstream) -> Mitmdump:
    """A proxy that refuses gpt-*; the provider would answer."""
    upstream.serve(answer(chat_json("c1", text="Hi")))
    return _denying


def head(path: str = CHAT, method: str = "POST", host: str = OPENAI, body: bytes = BODY) -> bytes:
    fields = f"Host: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode() + body


def told(proxy: Mitmdump, request: bytes, host: str = OPENAI, sni: str | None = OPENAI) -> bytes:
    """How the answer begins that a client gets in a tunnel; nothing where there is none."""
    tunnel = open_tunnel(proxy, host)
    tunnel.settimeout(TIMEOUT)
    with (
        contextlib.suppress(ssl.SSLEOFError, ConnectionResetError),
        trusting().wrap_socket(tunnel, server_hostname=sni) as connection,
    ):
        connection.sendall(request)
        return connection.recv(12)
    return b""


@pytest.mark.parametrize(
    "request_",
    [
        head(CHAT + "/"),
        head("/" + CHAT),
        head("/v1/%63hat/completions"),
        head("/v1/x/../chat/./completions"),
        head("/V1/Chat/Completions"),
        head(CHAT + ";x"),
        head("https://elsewhere.example" + CHAT),
        head(method="post"),
        head(host=ANTHROPIC),
        head(body=b'{"model":"gpt-1","model":"other"}'),
        head(body=b'{"mod\\u0065l":"gpt-1","model":"other"}'),
        head(body=b'{"MODEL":"gpt-1","model":"other"}'),
        b"\r\n" + head(),
        b"\n" + head(),
    ],
    ids=lambda value: value.split(b" HTTP")[0].decode().strip(),
)
def test_a_call_is_refused_however_it_is_spelt(denying: Mitmdump, upstream: Upstream, request_: bytes) -> None:
    assert told(denying, request_) == b"HTTP/1.1 403"
    assert upstream.exchanges == []


def test_no_upgrade_to_what_is_not_read_is_asked_for(denying: Mitmdump, upstream: Upstream) -> None:
    fields = b" HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    assert told(denying, head("/v1/files").replace(b" HTTP/1.1\r\n", fields)) == b"HTTP/1.1 200"
    assert not {"upgrade", "http2-settings"} & set(upstream.exchanges[0][0].headers)


@pytest.mark.parametrize(
    ("host", "sni"), [(OPENAI, None), (OPENAI, "www.example.com"), ("192.0.2.1", OPENAI), (OPENAI + ".", "x.example")]
)
def test_a_call_is_refused_whatever_names_the_connection(
    denying: Mitmdump, upstream: Upstream, host: str, sni: str | None
) -> None:
    assert told(denying, head(), host, sni) == b"HTTP/1.1 403"
    assert upstream.exchanges == []


@pytest.mark.parametrize(("host", "sni"), [(OPENAI, TELEMETRY), ("1.1.1.1", None)])
def test_a_tunnel_that_may_hide_a_call_is_closed(
    denying: Mitmdump, upstream: Upstream, host: str, sni: str | None
) -> None:
    assert told(denying, head(), host, sni) == b""
    assert upstream.exchanges == []
    assert until(lambda: ", and a policy is enforced" in denying.said(), "a line in the log")


def test_what_is_no_tls_is_not_passed_on_to_a_provider(denying: Mitmdump, upstream: Upstream) -> None:
    with open_tunnel(denying, OPENAI) as tunnel:
        tunnel.sendall(b"\x15\x03\x01\x00\x02\x01\x00")
        assert tunnel.recv(1) == b""
