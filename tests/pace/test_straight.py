"""What scripts hear and what goes over the wire is as with mitmproxy alone; only the turns between are fewer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import ctx, exceptions, http
from mitmproxy.certs import CertStore
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.test import taddons, tflow

from aitap.pace.chains import Chains
from aitap.pace.straight import Straight
from tests.pace.proxying import PATIENCE, Trace, proxying

Doing = dict[str, Callable[[http.HTTPFlow], Any]]


def call(path: str, body: bytes = b"", *, last: bool = True) -> bytes:
    close = b"Connection: close\r\n" if last else b""
    head = f"POST {path} HTTP/1.1\r\nHost: provider.test\r\nContent-Length: {len(body)}\r\n".encode()
    return head + close + b"\r\n" + body


def said(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(pieces: Iterable[bytes]) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


@dataclasses.dataclass
class Scenario:
    """What a client sends, what the provider answers, what a script does, and whether the client is then gone."""

    sent: bytes
    answers: dict[str, bytes] = dataclasses.field(default_factory=dict)
    doing: Doing = dataclasses.field(default_factory=dict)
    leaves: bool = False


def answer_it(flow: http.HTTPFlow) -> None:
    flow.response = http.Response.make(200, flow.request.path)


def stream_it(flow: http.HTTPFlow) -> None:
    assert flow.response
    flow.response.stream = True


def kill_it(flow: http.HTTPFlow) -> None:
    flow.kill()  # type: ignore[no-untyped-call]


def hold_it(flow: http.HTTPFlow) -> None:
    flow.intercept()  # type: ignore[no-untyped-call]
    asyncio.get_running_loop().call_later(0, flow.resume)


def fail(flow: http.HTTPFlow) -> None:
    raise ValueError(flow.request.path)


def halt(flow: http.HTTPFlow) -> None:
    raise exceptions.AddonHalt


async def wait(flow: http.HTTPFlow) -> None:
    await asyncio.sleep(0)


LONG = [b"%04d" % number * 300 for number in range(50)]

SCENARIOS = {
    "a call": Scenario(call("/a", b"abc"), {"/a": said(b"hello")}),
    "a long call": Scenario(call("/a", b"abc" * 100_000), {"/a": said(b"hello" * 100_000)}),
    "calls one after the other": Scenario(
        call("/a", b"abc", last=False) + call("/b", last=False) + call("/c", b"c"),
        {"/a": said(b"1"), "/b": said(b""), "/c": chunked([b"3"])},
    ),
    "a stream": Scenario(call("/a"), {"/a": chunked(LONG)}, {"responseheaders": stream_it}),
    "a stream that is held back": Scenario(call("/a"), {"/a": chunked(LONG)}),
    "a stream that breaks": Scenario(call("/broken"), {"/broken": chunked(LONG)[:-9]}, {"responseheaders": stream_it}),
    "what is no HTTP": Scenario(call("/broken"), {"/broken": b"HTTP/1.1 x y\r\n\r\n"}),
    "answers of a script's": Scenario(
        b"".join(call(f"/{number}", last=number == 19) for number in range(20)), {}, {"request": answer_it}
    ),
    "a killed call": Scenario(call("/a"), {}, {"request": kill_it}),
    "a killed answer": Scenario(call("/a"), {"/a": said(b"1")}, {"responseheaders": kill_it}),
    "a call that is held": Scenario(call("/a", b"a"), {"/a": said(b"1")}, {"request": hold_it, "response": hold_it}),
    "hooks that wait": Scenario(
        call("/a", b"a"), {"/a": said(b"1")}, dict.fromkeys(("requestheaders", "responseheaders", "response"), wait)
    ),
    "hooks that fail": Scenario(call("/a", b"a"), {"/a": said(b"1")}, {"requestheaders": fail, "response": fail}),
    "hooks that end the asking": Scenario(call("/a", b"a"), {"/a": said(b"1")}, {"request": halt}),
    "a client that leaves in the same breath": Scenario(call("/a", b"a"), {"/a": said(b"1")}, leaves=True),
}

Told = tuple[list[str], bytes, bytes]
"""What scripts heard, what the client got and what the provider was sent."""


async def over_tls(port: int, beyond: int, scenario: Scenario) -> bytes:
    """What a client gets in a tunnel, all it has to say said in one piece, until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % beyond)
    await reader.readuntil(b"\r\n\r\n")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context.wrap_bio(incoming, outgoing)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            data = await reader.read(65536)
            assert data
            incoming.write(data)
    tls.write(scenario.sent)
    if scenario.leaves:
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
    writer.write(outgoing.read())
    got = b""
    while data := await reader.read(65536):
        incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            while not scenario.leaves and (piece := tls.read(65536)):
                got += piece
    writer.close()
    return got


async def tell(confdir: Path, *, pace: bool) -> dict[str, Told]:
    first, second = Trace(), Trace()
    second.name = "second"  # type: ignore[attr-defined]
    second.heard = first.heard
    found = {}

    def speak_plainly(flow: http.HTTPFlow) -> Any:
        flow.request.scheme = "http"  # the provider has no TLS
        doing = first.doing.get("too")
        return doing(flow) if doing else None

    async with proxying(confdir, first, second, pace=pace) as (port, provider, beyond), asyncio.timeout(PATIENCE):
        for name, scenario in SCENARIOS.items():
            first.heard.clear()
            provider.got, provider.answers = b"", scenario.answers
            first.doing = {**scenario.doing, "requestheaders": speak_plainly}
            if "requestheaders" in scenario.doing:
                first.doing["too"] = scenario.doing["requestheaders"]
            got = await over_tls(port, beyond, scenario)
            found[name] = (list(first.heard), got, provider.got.replace(b"%d" % beyond, b"PORT"))
    return found


@pytest.fixture(scope="module")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("confdir")
    CertStore.create_store(folder, "mitmproxy", 2048)
    return folder


@pytest.fixture(scope="module")
def told(confdir: Path) -> tuple[dict[str, Told], dict[str, Told]]:
    """Of every scenario, with mitmproxy alone and with the shorter ways."""
    return asyncio.run(tell(confdir, pace=False)), asyncio.run(tell(confdir, pace=True))


@pytest.mark.parametrize("name", SCENARIOS)
def test_scripts_and_peers_are_told_the_same_in_the_same_order(
    told: tuple[dict[str, Told], dict[str, Told]], name: str
) -> None:
    alone, paced = told
    assert alone[name][0]  # somebody heard of it
    assert paced[name] == alone[name]


def test_addons_that_answer_at_once_are_asked_in_one_turn_of_the_event_loop(confdir: Path) -> None:
    turns: list[str] = []

    def next_turn(flow: http.HTTPFlow) -> None:
        asyncio.get_running_loop().call_soon(turns.append, "turn")

    def look(flow: http.HTTPFlow) -> None:
        turns.append("asked")
        answer_it(flow)

    async def main(*, pace: bool) -> list[str]:
        trace = Trace()
        trace.doing = {"requestheaders": next_turn, "request": look}
        turns.clear()
        async with proxying(confdir, trace, pace=pace) as (port, _, beyond), asyncio.timeout(PATIENCE):
            await over_tls(port, beyond, SCENARIOS["a call"])
        return list(turns)

    assert asyncio.run(main(pace=False)) == ["turn", "asked"]
    assert asyncio.run(main(pace=True)) == ["asked", "turn"]


# The layer by itself


class Layer:
    """Stands for mitmproxy's: gives commands, and says what it was given."""

    def __init__(self, *steps: Any) -> None:
        self.client = tflow.tclient_conn()
        self.context = SimpleNamespace(client=self.client, layers=[self])
        self.steps = list(steps)
        self.given: list[Any] = []

    def handle_event(self, event: Any) -> Iterator[Any]:
        self.given.append(event)
        while self.steps:
            step = self.steps.pop(0)
            if isinstance(step, Exception):
                raise step
            if step is None:
                return
            yield step


class Asked:
    """An addon that is asked at once."""

    def __init__(self) -> None:
        self.heard = 0

    def request(self, flow: http.HTTPFlow) -> None:
        self.heard += 1


def through(layer: Layer, *addons: object) -> Iterator[Any]:
    """The commands that come out for one event."""
    with taddons.context(*addons) as context:  # type: ignore[no-untyped-call]
        handler: Any = object.__new__(ProxyConnectionHandler)
        handler.master = context.master
        straight = Straight(Chains())
        straight._server = SimpleNamespace(connections={layer.client.id: handler})  # type: ignore[assignment]
        yield from straight._handle_event(Layer.handle_event)(layer, events.Start())


def send(layer: Layer, data: Any) -> commands.SendData:
    return commands.SendData(layer.client, data)


def hook() -> HttpRequestHook:
    made = HttpRequestHook(tflow.tflow())
    made.flow.intercepted = False
    return made


def shown(found: Iterable[Any]) -> list[Any]:
    return [command.data if isinstance(command, commands.SendData) else command for command in found]


def test_what_one_event_sends_to_one_peer_is_one_piece_up_to_a_record() -> None:
    layer, other = Layer(), tflow.tserver_conn()
    pieces = [send(layer, b"a"), send(layer, b"b" * 16_000), send(layer, b"c" * 1000), send(layer, b"d" * 20_000)]
    layer.steps = [*pieces, commands.SendData(other, b"e"), commands.SendData(other, b"f")]
    assert shown(through(layer)) == [b"a" + b"b" * 16_000, b"c" * 1000, b"d" * 20_000, b"ef"]


def test_the_start_of_a_long_answer_does_not_wait_for_much_of_the_rest() -> None:
    layer = Layer()
    layer.steps = [send(layer, b"a") for _ in range(100)]
    assert [len(piece) for piece in shown(through(layer))] == [8, 16, 32, 44]


def test_what_is_sent_is_sent_before_anybody_is_asked_and_before_a_close() -> None:
    layer, addon = Layer(), Asked()
    close = commands.CloseConnection(layer.client)
    layer.steps = [send(layer, b"a"), hook(), send(layer, b"b"), close]
    out = through(layer, addon)
    assert shown([next(out)]) == [b"a"]
    assert addon.heard == 0
    assert shown(out) == [b"b", close]
    assert addon.heard == 1


@pytest.mark.parametrize("data", [bytearray(b"b"), memoryview(b"b")])
def test_what_a_script_streams_besides_bytes_is_left_as_it_is(data: Any) -> None:
    layer = Layer()
    layer.steps = [send(layer, b"a"), send(layer, data)]
    assert shown(through(layer)) == [b"a", data]


def test_datagrams_are_not_joined() -> None:
    layer = Layer()
    layer.client.transport_protocol = "udp"
    layer.steps = [send(layer, b"a"), send(layer, b"b")]
    assert shown(through(layer)) == [b"a", b"b"]


def test_the_answer_is_the_connections_next_event() -> None:
    asked = [hook(), hook()]
    layer = Layer(asked[0], asked[1], None, None, None)
    assert list(through(layer, Asked())) == []
    assert [event.command for event in layer.given[1:]] == asked
    assert isinstance(layer.given[1], events.HookCompleted)


class Later:
    """Something to wait for."""

    def __await__(self) -> Iterator[None]:
        yield


class Slow:
    """An addon that has to be waited for at one flow."""

    def __init__(self, flow: http.HTTPFlow) -> None:
        self.flow = flow

    def request(self, flow: http.HTTPFlow) -> Any:
        return Later() if flow is self.flow else None


def test_an_answer_does_not_overtake_one_that_is_waited_for() -> None:
    asked = [hook(), hook(), hook()]
    layer = Layer(*asked, None, None)
    assert list(through(layer, Slow(asked[1].flow))) == asked[1:]
    assert [event.command for event in layer.given[1:]] == asked[:1]


def test_when_the_proxy_has_ended_the_layers_of_open_connections_are_mitmproxys_again() -> None:
    layer = Layer()
    steps = [send(layer, b"a"), send(layer, b"b"), hook()]
    layer.steps = list(steps)
    straight = Straight(Chains())
    straight.end()
    assert list(straight._handle_event(Layer.handle_event)(layer, events.Start())) == steps


def test_a_mistake_of_mitmproxys_takes_neither_what_was_to_be_sent_nor_an_answer_that_was_due() -> None:
    asked = hook()
    layer = Layer()
    layer.steps = [asked, send(layer, b"a"), ValueError("mitmproxy's")]
    out = through(layer, Asked())
    assert shown([next(out)]) == [b"a"]
    assert next(out) is asked
    with pytest.raises(ValueError, match="mitmproxy's"):
        next(out)


def test_a_long_row_of_answers_lets_others_have_their_turn() -> None:
    asked = [hook() for _ in range(40)]
    layer, addon = Layer(*asked), Asked()
    left = list(through(layer, addon))
    assert left
    assert addon.heard + len(left) == len(asked)


def test_a_replay_is_left_to_mitmproxy_which_ends_it_with_a_hook() -> None:
    asked, addon = hook(), Asked()
    layer = Layer(asked)
    with taddons.context(addon):  # type: ignore[no-untyped-call]
        straight = Straight(Chains())
        straight._server = SimpleNamespace(connections={})  # type: ignore[assignment]
        assert list(straight._handle_event(Layer.handle_event)(layer, events.Start())) == [asked]
    assert addon.heard == 0


def test_when_the_proxy_has_ended_mitmproxys_methods_are_its_own(confdir: Path) -> None:
    before = HttpLayer.__dict__.get("handle_event"), HttpLayer.handle_event

    async def main() -> Any:
        async with proxying(confdir, pace=True):
            assert ctx.master
            return HttpLayer.handle_event

    assert asyncio.run(main()) is not before[1]
    assert (HttpLayer.__dict__.get("handle_event"), HttpLayer.handle_event) == before
