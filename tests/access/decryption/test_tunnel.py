"""The tunnel as mitmproxy drives it, where that is not the whole connection."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy.connection import Client, ConnectionState
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode
from mitmproxy.proxy.layers.http._events import RequestProtocolError
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons

from aitap.access.decryption.tallies import Sight
from aitap.access.decryption.tunnel import Tunnel

SIGHT = Sight("example.com", "tunnelled", "", "", "u", "", "192.0.2.9")


class Counts:
    def __init__(self) -> None:
        self.open: list[Any] = []

    def opened(self, tunnel: Any) -> None:
        self.open.append(tunnel)

    def ended(self, tunnel: Any) -> None:
        self.open.remove(tunnel)


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def context() -> Context:
    client = Client(
        peername=("192.0.2.9", 1234),
        sockname=("192.0.2.8", 8080),
        timestamp_start=0,
        proxy_mode=ProxyMode.parse("regular"),
        state=ConnectionState.OPEN,
    )
    with taddons.context() as made:
        context = Context(client, made.options)
    context.server.address = ("example.com", 443)
    context.server.timestamp_start = 1.0
    context.server.state = ConnectionState.OPEN
    return context


def stream_of_http2(context: Context, counts: Counts) -> Tunnel:
    """A tunnel that is one stream of a connection of HTTP/2."""
    modes.HttpProxy(context)
    HttpLayer(context, HTTPMode.regular)
    HttpLayer(context, HTTPMode.regular)  # stands for the stream
    context.client.alpn = b"h2"
    tunnel = Tunnel(context, SIGHT, counts)
    assert list(tunnel.handle_event(events.Start())) == []
    return tunnel


def test_a_stream_of_http2_that_ends_takes_no_other_with_it(context: Context, counts: Counts) -> None:
    tunnel = stream_of_http2(context, counts)
    assert counts.open == [tunnel]
    (half,) = tunnel.handle_event(events.ConnectionClosed(context.client))
    assert isinstance(half, commands.CloseTcpConnection)
    assert half.connection is context.server
    # The connection of the client goes on, with other streams on it.
    assert context.client.state is ConnectionState.OPEN
    context.server.state = ConnectionState.CLOSED
    ends = list(tunnel.handle_event(events.ConnectionClosed(context.server)))
    assert [type(end) for end in ends] == [commands.CloseConnection]
    assert counts.open == []


def test_a_stream_of_http2_that_is_reset_ends_the_connection_to_the_server(context: Context, counts: Counts) -> None:
    tunnel = stream_of_http2(context, counts)
    (end,) = tunnel.handle_event(RequestProtocolError(1, "reset", RequestProtocolError.code))
    assert isinstance(end, commands.CloseConnection)
    assert end.connection is context.server
    context.server.state = ConnectionState.CLOSED
    list(tunnel.handle_event(events.ConnectionClosed(context.server)))
    assert counts.open == []


def test_what_a_script_injects_is_not_heard(context: Context, counts: Counts) -> None:
    modes.TransparentProxy(context)
    tunnel = Tunnel(context, SIGHT, counts)
    list(tunnel.handle_event(events.Start()))
    assert list(tunnel.handle_event(events.Wakeup(commands.RequestWakeup(0)))) == []
    assert (tunnel.sent, tunnel.received) == (0, 0)


def test_a_chunk_costs_one_command_and_two_sums(context: Context, counts: Counts) -> None:
    top = modes.TransparentProxy(context)
    tunnel = Tunnel(context, SIGHT, counts)
    list(tunnel.handle_event(events.Start()))
    (there,) = top.handle_event(events.DataReceived(context.client, b"abc"))
    (back,) = top.handle_event(events.DataReceived(context.server, b"de"))
    assert (there.connection, there.data) == (context.server, b"abc")  # type: ignore[attr-defined]
    assert (back.connection, back.data) == (context.client, b"de")  # type: ignore[attr-defined]
    assert (tunnel.sent, tunnel.received) == (3, 2)
