"""The decision at its edges: too early, too little, too broken, or not ours to make."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import exceptions
from mitmproxy.connection import Client
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import ClientTLSLayer, HttpLayer, modes
from mitmproxy.proxy.layers.tcp import TCPLayer
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons

from aitap.access.decryption.choice import Choices
from aitap.access.decryption.decryption import Decryption
from aitap.access.decryption.tunnel import Tunnel
from aitap.access.gate.guard import Closed
from aitap.access.identity import Identity
from aitap.access.peers import Peers
from aitap.capture.routes import Router
from tests.access.decryption.test_opening import HELLO, client_hello


@pytest.fixture
def peers() -> Peers:
    return Peers()


@pytest.fixture
def decryption(peers: Peers) -> Any:
    with taddons.context():
        yield Decryption(peers)


def start(decryption: Decryption, decrypt: str = "providers", policy: str = "off") -> SimpleNamespace:
    directory = SimpleNamespace(host_modes={}, on_change=[])
    told: list[Any] = []
    loop = SimpleNamespace(call_later=lambda delay, action: None)
    choices = Choices(decrypt, Router(), lambda: directory.host_modes)  # type: ignore[arg-type]
    directory.on_change.append(choices.forget)
    startup = SimpleNamespace(
        settings=SimpleNamespace(decrypt=decrypt, policy=policy),
        choices=choices,
        relay=SimpleNamespace(seen=told.append),
        directory=directory,
        loop=loop,
    )
    decryption.start(startup)  # type: ignore[arg-type]
    return SimpleNamespace(directory=directory, told=told)


def question(
    data: bytes, host: str = "192.0.2.1", port: int = 443, top: type = modes.TransparentProxy
) -> layer.NextLayer:
    """What mitmproxy asks when these are the first bytes of a client, in transparent mode."""
    client = Client(
        peername=("192.0.2.9", 1234),
        sockname=("192.0.2.8", 8080),
        timestamp_start=0,
        proxy_mode=ProxyMode.parse("transparent"),
    )
    context = Context(client, taddons.context().options)
    context.server.address = (host, port)
    top(context)
    asked = layer.NextLayer(context)
    asked.events.append(events.DataReceived(client, data))
    return asked


def test_a_provider_is_left_to_mitmproxy_and_another_host_gets_a_tunnel(decryption: Decryption) -> None:
    start(decryption)
    known, other = question(HELLO), question(client_hello("example.com"))
    decryption.next_layer(known)
    decryption.next_layer(other)
    assert known.layer is None
    assert isinstance(other.layer, Tunnel)
    assert (other.layer.sight.host, other.layer.sight.client_address) == ("example.com", "192.0.2.9")


def test_before_the_start_nothing_is_decrypted(decryption: Decryption) -> None:
    asked = question(HELLO)
    decryption.next_layer(asked)
    assert isinstance(asked.layer, Tunnel)


def test_where_the_decision_fails_the_connection_passes_unread(
    decryption: Decryption, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start(decryption)

    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(decryption._choices, "of", broken)
    asked = question(HELLO)
    decryption.next_layer(asked)
    assert isinstance(asked.layer, TCPLayer)
    assert asked.layer.flow is None
    assert "passes unread" in caplog.text


def test_too_little_is_waited_for_before_mitmproxy_decides(decryption: Decryption) -> None:
    start(decryption)
    with pytest.raises(exceptions.AddonHalt):
        decryption.next_layer(question(HELLO[:100]))


@pytest.mark.parametrize("decrypt", ["providers", "all"])
def test_tls_inside_tls_that_is_read_is_left_to_mitmproxy(decryption: Decryption, decrypt: str) -> None:
    start(decryption, decrypt)
    asked = question(client_hello("example.com"))
    ClientTLSLayer(asked.context)
    decryption.next_layer(asked)
    assert asked.layer is None


@pytest.mark.parametrize("data", [b"\r\nPOST /v1/messages HTTP/1.1\r\n\r\n", b"\x00\x01", b"GE"])
def test_whatever_is_said_within_the_tls_of_a_provider_is_read_as_http(decryption: Decryption, data: bytes) -> None:
    start(decryption)
    asked = question(data, "api.openai.com")
    ClientTLSLayer(asked.context)
    decryption.next_layer(asked)
    assert isinstance(asked.layer, HttpLayer)


@pytest.mark.parametrize(
    ("data", "host"),
    [
        (b"\x00\x01\x02 no TLS", "api.openai.com"),
        (b"\x15\x03\x01\x00\x02\x01\x00" + HELLO, "api.openai.com"),
        (b"\x16\x03\x04" + HELLO[3:], "api.openai.com"),
        (client_hello("browser-intake-us5-datadoghq.datadoghq.com"), "api.openai.com"),
        (client_hello("seen.example.com"), "api.openai.com"),
        (client_hello(None), "1.1.1.1"),
        (b"\x16\x03\x04" + HELLO[3:], "1.1.1.1"),
    ],
)
def test_under_an_enforced_policy_no_call_can_hide_in_a_tunnel(
    decryption: Decryption, data: bytes, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    started = start(decryption, policy="enforce")
    started.directory.host_modes["seen.example.com"] = "observe"
    started.directory.on_change[0]()
    asked = question(data, host)
    decryption.next_layer(asked)
    assert isinstance(asked.layer, Closed)
    assert decryption.refusals == {"unread": 1}
    assert host in caplog.text


@pytest.mark.parametrize(
    ("data", "host"),
    [
        (client_hello("example.com"), "1.1.1.1"),
        (client_hello(None), "10.1.2.3"),
        (client_hello(None), "9.9.9.9"),
        (client_hello("example.com"), "www.example.com"),
        (client_hello("seen.example.com"), "seen.example.com"),
    ],
)
def test_under_an_enforced_policy_other_tunnels_pass(decryption: Decryption, data: bytes, host: str) -> None:
    started = start(decryption, policy="enforce")
    started.directory.host_modes |= {"seen.example.com": "observe", "9.9.9.9": "observe"}
    started.directory.on_change[0]()
    asked = question(data, host)
    decryption.next_layer(asked)
    assert isinstance(asked.layer, Tunnel)


@pytest.mark.parametrize("decrypt", ["observe", "providers"])
def test_what_the_operator_leaves_unread_passes_under_an_enforced_policy_too(
    decryption: Decryption, decrypt: str
) -> None:
    started = start(decryption, decrypt, policy="enforce")
    started.directory.host_modes["api.openai.com"] = "observe"
    started.directory.on_change[0]()
    asked = question(client_hello("api.openai.com"), "api.openai.com")
    decryption.next_layer(asked)
    assert isinstance(asked.layer, Tunnel)


def test_where_the_decision_fails_under_an_enforced_policy_the_connection_is_closed(
    decryption: Decryption, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start(decryption, policy="enforce")
    monkeypatch.setattr(decryption._choices, "of", None)
    asked = question(HELLO)
    decryption.next_layer(asked)
    assert isinstance(asked.layer, Closed)
    assert "the connection is closed" in caplog.text


def test_reverse_mode_is_the_operators_choice(decryption: Decryption) -> None:
    start(decryption, "observe")
    asked = question(HELLO, top=modes.ReverseProxy)
    decryption.next_layer(asked)
    assert asked.layer is None


def test_what_another_script_has_chosen_stays(decryption: Decryption) -> None:
    start(decryption)
    asked = question(client_hello("example.com"))
    chosen = asked.layer = TCPLayer(asked.context)
    decryption.next_layer(asked)
    assert asked.layer is chosen


def test_datagrams_are_left_alone(decryption: Decryption) -> None:
    start(decryption)
    asked = question(b"\xc0\x00\x00\x00\x01" + bytes(40))
    asked.context.client.transport_protocol = "udp"
    decryption.next_layer(asked)
    assert asked.layer is None


def test_dns_that_was_redirected_to_us_is_left_to_mitmproxy(decryption: Decryption) -> None:
    start(decryption)
    asked = question(b"\x00\x1d\x12\x34\x01\x00", "10.0.0.53", 53)
    decryption.next_layer(asked)
    assert asked.layer is None


def test_plain_http_of_a_redirected_client_is_left_to_mitmproxy(decryption: Decryption) -> None:
    start(decryption, "observe")
    asked = question(b"POST /v1/chat/completions HTTP/1.1\r\n", port=80)
    decryption.next_layer(asked)
    assert asked.layer is None


def test_a_change_of_the_directory_is_heard(decryption: Decryption) -> None:
    proxy = start(decryption)
    proxy.directory.host_modes = {"api.openai.com": "observe"}
    for heard in proxy.directory.on_change:
        heard()
    asked = question(HELLO)
    decryption.next_layer(asked)
    assert isinstance(asked.layer, Tunnel)
    assert (asked.layer.sight.mode, asked.layer.sight.provider_name) == ("observed", "openai")


def test_a_tunnel_is_its_users(decryption: Decryption, peers: Peers) -> None:
    start(decryption)
    asked = question(client_hello("example.com"))
    peer = peers.of(asked.context.client)
    peer.identity = Identity("11111111-1111-1111-1111-111111111111", "alice", "key")
    peer.user_agent = "claude-cli/2.1.329 (external, cli)"
    decryption.next_layer(asked)
    assert isinstance(asked.layer, Tunnel)
    assert asked.layer.sight.initiator_id == "11111111-1111-1111-1111-111111111111"
    assert asked.layer.sight.client == "Claude Code"
