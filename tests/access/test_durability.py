"""What ``durability = strict`` does while nothing takes records; with real processes it is tested in tests/proxy."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from mitmproxy import http
from mitmproxy.test import tflow, tutils
from mitmproxy.websocket import WebSocketMessage
from wsproto.frame_protocol import Opcode

from aitap.access import durability as module
from aitap.access.durability import Durability
from aitap.capture.errors import body_error
from aitap.capture.routes import Router

HOST, PATH = "api.openai.com", "/v1/responses"


class Line:
    """As much of the line to the recorder as is asked."""

    def __init__(self) -> None:
        self.report: dict[str, Any] = {"keeps_nothing": ""}
        self.on_settled: Any = None


class Recorder:
    """Whose exchanges all have the number 7."""

    def __init__(self) -> None:
        self.line = Line()
        self.recorded = True

    def exchange_of(self, _: http.HTTPFlow) -> Any:
        return SimpleNamespace(number=7) if self.recorded else None


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def part(recorder: Recorder, durability: str = "strict") -> Durability:
    found = Durability()
    found.recorder = cast("Any", recorder)
    startup = SimpleNamespace(
        settings=SimpleNamespace(durability=durability),
        router=Router(),
        relay=SimpleNamespace(flush=lambda: None),
    )
    found.start(cast("Any", startup))
    return found


def call(path: str = PATH, method: str = "POST") -> http.HTTPFlow:
    headers = http.Headers() if method == "POST" else http.Headers(upgrade="websocket")
    request = tutils.treq(host=HOST, port=443, path=path.encode(), method=method.encode(), headers=headers)
    return tflow.tflow(req=request)


def ask(part: Durability, flow: http.HTTPFlow, *, then: Any = None) -> http.Response | None:
    async def run() -> None:
        held = part.request(flow)
        if then is not None:
            asyncio.get_running_loop().call_later(0.01, then)
        if held is not None:
            await held

    asyncio.run(run())
    return flow.response


def test_a_call_goes_on_when_its_beginning_is_safe(recorder: Recorder) -> None:
    assert ask(part(recorder), call(), then=lambda: recorder.line.on_settled([7], True)) is None


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(lambda line: line.on_settled([7], False), id="lost"),
        pytest.param(lambda line: line.report.update(keeps_nothing="no room"), id="trouble"),
    ],
)
def test_a_call_that_is_not_safe_is_refused_as_its_provider_would(recorder: Recorder, then: Any) -> None:
    durability = part(recorder)
    response = ask(durability, call(), then=lambda: then(recorder.line))
    assert response is not None
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert "must record every call" in (body_error(response.content or b"").message or "")
    assert durability.refusals == {"unrecordable": 1}


def test_a_call_of_which_nobody_hears_is_refused_in_time(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    response = ask(part(recorder), call())
    assert response is not None
    assert response.status_code == 503


def test_a_call_that_the_recorder_has_no_place_for_is_refused_and_what_is_no_call_passes(recorder: Recorder) -> None:
    recorder.recorded = False
    response = ask(part(recorder), call())
    assert response is not None
    assert response.status_code == 503
    assert ask(part(recorder), call("/v1/models")) is None


def test_a_socket_is_refused_while_nothing_takes_records(recorder: Recorder) -> None:
    recorder.recorded = False
    assert ask(part(recorder), call(method="GET")) is None
    recorder.line.report["keeps_nothing"] = "no room"
    response = ask(part(recorder), call(method="GET"))
    assert response is not None
    assert response.status_code == 503


@pytest.mark.parametrize(("kind", "dropped"), [("response.create", True), ("session.update", False)])
def test_a_message_that_asks_is_answered_by_an_error_while_nothing_takes_records(
    recorder: Recorder, kind: str, dropped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    injected: list[bytes] = []
    durability = part(recorder)
    flow = tflow.twebsocketflow()
    flow.request = call(method="GET").request
    message = WebSocketMessage(Opcode.TEXT, True, msgspec.json.encode({"type": kind, "model": "m"}))
    assert flow.websocket is not None
    flow.websocket.messages = [message]

    commands = SimpleNamespace(call=lambda name, flow, client, event, text: injected.append(event))
    monkeypatch.setattr(module, "ctx", SimpleNamespace(master=SimpleNamespace(commands=commands)))

    async def run() -> None:
        held = durability.websocket_message(flow)
        if held is not None:
            await held

    asyncio.run(run())
    assert not message.dropped
    recorder.line.report["keeps_nothing"] = "no room"
    asyncio.run(run())
    assert message.dropped == dropped
    assert [msgspec.json.decode(event)["error"]["code"] for event in injected] == ["unrecordable"] * dropped


def test_normal_durability_asks_nothing(recorder: Recorder) -> None:
    recorder.line.report["keeps_nothing"] = "no room"
    durability = part(recorder, "normal")
    assert durability.idle
    assert ask(durability, call()) is None
