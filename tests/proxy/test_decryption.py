"""Which hosts a real mitmdump decrypts, by setting, by the provider table, and as the operator says meanwhile."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proxy.client import ANTHROPIC, OPENAI, exchange
from tests.proxy.mitmdump import Mitmdump, aitap, until
from tests.proxy.raw import (
    Listener,
    certificate_of,
    everything,
    host_listed,
    hosts_of,
    listening,
    open_socks,
    open_tunnel,
)
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import CHAT, MESSAGES, ask_chat, ask_messages, chat_json, message_json

OTHER = "www.example.com"
TELEMETRY = "browser-intake-us5-datadoghq.datadoghq.com"


@pytest.fixture
def decrypted(upstream: Upstream) -> Callable[..., bool]:
    """Whether a new connection is decrypted: the server's own certificate does not reach the client then."""

    def decrypted(proxy: Mitmdump, host: str, sni: str | None = None) -> bool:
        return certificate_of(open_tunnel(proxy, host), sni or host) != upstream.shown

    return decrypted


@pytest.fixture
def plain_server() -> Iterator[Listener]:
    """Answers any call of a model in plain HTTP."""

    def serve(connection: socket.socket) -> None:
        asked = b""
        while not asked.endswith(b"}"):
            asked += connection.recv(65536)
        body = chat_json("c1", text="Hi")
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    with listening(serve) as server:
        yield server


def test_providers_are_decrypted_and_nobody_else(
    proxy: Mitmdump, upstream: Upstream, decrypted: Callable[..., bool]
) -> None:
    assert decrypted(proxy, OPENAI)
    assert decrypted(proxy, "my-own.openai.azure.com")
    assert not decrypted(proxy, OTHER)
    assert not decrypted(proxy, "api.openai.com.example.net")
    assert not decrypted(proxy, "openai.com")


def test_the_name_in_the_client_hello_tells_a_provider_where_an_address_was_asked_for(
    proxy: Mitmdump, upstream: Upstream, decrypted: Callable[..., bool]
) -> None:
    assert decrypted(proxy, "192.0.2.1", sni=OPENAI)
    assert not decrypted(proxy, "192.0.2.1", sni=OTHER)
    assert decrypted(proxy, OPENAI, sni=OTHER)
    assert decrypted(proxy, OTHER, sni=OPENAI)


def test_what_a_client_reports_of_itself_is_not_decrypted_under_a_providers_name_either(
    proxy: Mitmdump, upstream: Upstream, decrypted: Callable[..., bool]
) -> None:
    assert decrypted(proxy, "api.individual.githubcopilot.com")
    assert not decrypted(proxy, "telemetry.individual.githubcopilot.com")
    host_listed(proxy, "telemetry.individual.githubcopilot.com", "tunnelled", provider=None)


def test_observe_decrypts_nothing_and_still_lists_who_talks_to_which_ai_host(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream, decrypted: Callable[..., bool]
) -> None:
    proxy = start_proxy(arguments=("--set", "aitap_decrypt=observe"))
    assert not decrypted(proxy, ANTHROPIC)
    assert not decrypted(proxy, OTHER)
    row = host_listed(proxy, ANTHROPIC, "observed", connections=1)
    assert (row["provider"], row["provider_name"], row["interceptions"]) == ("anthropic", "anthropic", 0)
    assert row["users"]
    host_listed(proxy, OTHER, "tunnelled", connections=1)


def test_all_decrypts_every_host_but_telemetry(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream, decrypted: Callable[..., bool]
) -> None:
    proxy = start_proxy(arguments=("--set", "aitap_decrypt=all"))
    assert decrypted(proxy, ANTHROPIC)
    assert decrypted(proxy, OTHER)
    assert decrypted(proxy, "192.0.2.1", sni=OTHER)
    assert not decrypted(proxy, TELEMETRY)


def test_what_the_operator_says_of_a_host_holds_within_seconds_and_wins(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream, decrypted: Callable[..., bool]
) -> None:
    proxy = start_proxy()

    def say(*words: str) -> None:
        told = aitap("hosts", *words, "--database-url", proxy.database_url)
        assert told.returncode == 0, told.stderr

    say("observe", ANTHROPIC, "*.openai.azure.com")
    until(lambda: not decrypted(proxy, ANTHROPIC), "the host to pass unread")
    assert not decrypted(proxy, "my.openai.azure.com")
    assert not decrypted(proxy, OTHER, sni=ANTHROPIC)
    assert decrypted(proxy, OPENAI)
    say("decrypt", OTHER, "theirs.openai.azure.com", TELEMETRY)
    until(lambda: decrypted(proxy, OTHER), "the host to be decrypted")
    assert decrypted(proxy, "theirs.openai.azure.com")
    assert decrypted(proxy, TELEMETRY)
    say("reset", ANTHROPIC, OTHER)
    until(lambda: decrypted(proxy, ANTHROPIC), "the host to be decrypted again")
    assert not decrypted(proxy, OTHER)
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi"))
    assert proxy.record()["host"] == ANTHROPIC


def test_plain_http_in_a_tunnel_to_a_provider_is_recorded_and_to_another_host_passes_unread(
    tmp_path: Path, confdir: Path, plain_server: Listener
) -> None:
    proxy = Mitmdump(tmp_path, confdir, plain_server)
    try:
        for host in (OPENAI, "llm.example.com"):
            body = ask_chat("Say hi")
            head = f"POST {CHAT} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n"
            with open_tunnel(proxy, host, 80) as tunnel:
                tunnel.sendall(f"{head}connection: close\r\n\r\n".encode() + body)
                assert json.loads(everything(tunnel).partition(b"\r\n\r\n")[2])["id"] == "c1"
        assert proxy.record()["host"] == OPENAI
        host_listed(proxy, "llm.example.com", "tunnelled", connections=1, interceptions=0)
    finally:
        proxy.stop()


def test_plain_http_through_socks_is_looked_at_as_through_any_proxy(
    tmp_path: Path, confdir: Path, plain_server: Listener
) -> None:
    proxy = Mitmdump(tmp_path, confdir, plain_server, arguments=("--mode", "socks5"))
    try:
        body = ask_chat("Say hi")
        with open_socks(proxy, "llm.example.com", 80) as tunnel:
            head = f"POST {CHAT} HTTP/1.1\r\nhost: llm.example.com\r\ncontent-length: {len(body)}\r\n\r\n"
            tunnel.sendall(head.encode() + body)
            assert tunnel.recv(15) == b"HTTP/1.1 200 OK"
            assert proxy.record()["host"] == "llm.example.com"
    finally:
        proxy.stop()


def test_hosts_that_mitmproxys_own_options_leave_alone_pass_unread_and_are_listed(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream, decrypted: Callable[..., bool]
) -> None:
    proxy = start_proxy(arguments=("--ignore-hosts", r"^api\.openai\.com:443$"))
    assert not decrypted(proxy, OPENAI)
    assert decrypted(proxy, ANTHROPIC)
    host_listed(proxy, OPENAI, "observed", connections=1)
    only = start_proxy(arguments=("--allow-hosts", r"^api\.openai\.com:443$"))
    assert decrypted(only, OPENAI)
    assert not decrypted(only, ANTHROPIC)
    assert not decrypted(only, OTHER)


def test_hosts_that_mitmproxy_relays_as_tcp_are_still_shown_to_scripts(tmp_path: Path, confdir: Path) -> None:
    def shout(connection: socket.socket) -> None:
        while data := connection.recv(100):
            connection.sendall(data)

    with listening(shout) as server:
        options = ("--tcp-hosts", r"^tcp\.example\.com:443$")
        proxy = Mitmdump(tmp_path, confdir, server, "shouting.py", arguments=options)
        try:
            for host, heard in (("tcp.example.com", b"\x00HELLO"), (OTHER, b"\x00hello")):
                with open_tunnel(proxy, host) as tunnel:
                    tunnel.sendall(b"\x00hello")
                    assert tunnel.recv(100) == heard
        finally:
            proxy.stop()


def test_a_decrypted_host_is_not_counted_as_a_tunnel(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(answer(chat_json("c1", text="Hi")))
    # A host that no other test of the shared proxy asks.
    exchange(proxy, "api.moonshot.ai", CHAT, ask_chat("Say hi"))
    proxy.record()
    host_listed(proxy, "api.moonshot.ai", "decrypted", interceptions=1)
    assert not {("api.moonshot.ai", "tunnelled"), ("api.moonshot.ai", "observed")} & hosts_of(proxy).keys()
