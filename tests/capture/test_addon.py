"""The mitmproxy addon."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from mitmproxy import exceptions, flow, http, websocket
from mitmproxy.test import taddons, tflow, tutils
from wsproto.frame_protocol import Opcode

from aitap.access.identity import local_user
from aitap.capture import recorder as decoding
from aitap.capture.accounts import Accounts
from aitap.capture.addon import Recorder
from aitap.capture.environment import Environment
from aitap.capture.pipeline import Pipeline
from aitap.capture.relay import Relay
from aitap.storage.database import open_database
from aitap.storage.queries import Filter, list_interceptions
from aitap.storage.spool.ledger import Ledger
from tests.capture.making import CHAT, MESSAGES, RESPONSES, Records, answers, cut, dump, response_events, sse, user

BODY = dump({"model": "m", "stream": True, "messages": [user("do it")]})
LAST = dump({"model": "last", "messages": [user("do it")]})
STREAM = sse(MESSAGES, answers(MESSAGES))


@pytest.fixture
def records() -> Records:
    return Records()


class InProcess(decoding.Recorder):
    """The decoding side, in this process and into a list; what goes over the line is packed as it would be."""

    congested = False

    def __init__(self, records: Records) -> None:
        self.pipeline = Pipeline(Environment("me", "metadata+prompt"), records, announce_after=60.0)
        self.accounts = Accounts(Ledger(), lambda numbers, kept: None)
        self._strict = False
        self._exchanges = {}
        self._sockets = {}

    def send(self, items: list[Any]) -> None:
        self.take(msgspec.msgpack.decode(msgspec.msgpack.encode(items)))


class Eager(Relay):
    """Hands over at once what is not a chunk."""

    def put(self, item: Any) -> None:
        super().put(item)
        self.flush()


def started(line: InProcess) -> Recorder:
    found = Recorder()
    found._started = True
    found.relay = Eager(line, lambda *_: None)
    return found


@pytest.fixture
def line(records: Records) -> Iterator[InProcess]:
    found = InProcess(records)
    yield found
    found.pipeline.close()
    assert found.pipeline.decode_errors == 0


@pytest.fixture
def recorder(line: InProcess) -> Iterator[Recorder]:
    """A recorder that records into a list."""
    found = started(line)
    yield found
    assert found.hook_errors == 0


def call(
    host: str = "api.anthropic.com",
    path: str = "/v1/messages",
    body: bytes = BODY,
    method: str = "POST",
    **headers: str,
) -> http.HTTPFlow:
    fields = http.Headers([(b"host", host.encode()), *((k.encode(), v.encode()) for k, v in headers.items())])
    request = tutils.treq(
        method=method.encode(), host=host, path=path.encode(), content=body, headers=fields, authority=b""
    )
    found = tflow.tflow(req=request)
    found.client_conn.sni = host
    return found


def answer(
    found: http.HTTPFlow, recorder: Recorder, pieces: list[bytes], status: int = 200, kind: str = "text/event-stream"
) -> list[bytes]:
    """The hooks of an answer that mitmproxy streams; what the client gets."""
    found.response = tutils.tresp(
        status_code=status, headers=http.Headers([(b"content-type", kind.encode())]), content=b""
    )
    found.response.content = None
    recorder.responseheaders(found)
    stream: Any = found.response.stream
    passed = [stream(piece) for piece in [*pieces, b""]] if callable(stream) else pieces
    recorder.response(found)
    return passed


def ask(found: http.HTTPFlow, recorder: Recorder) -> http.HTTPFlow:
    recorder.requestheaders(found)
    recorder.request(found)
    return found


# What is recorded


def test_a_call_of_a_model_is_recorded_and_its_bytes_pass_unchanged(recorder: Recorder, records: Records) -> None:
    pieces = cut(STREAM, range(0, len(STREAM), 100))
    assert answer(ask(call(), recorder), recorder, pieces) == [*pieces, b""]
    (record,) = records.wait(1)
    assert (record.outcome, record.provider, record.host, record.path) == (
        *("completed", "anthropic", "api.anthropic.com", "/v1/messages"),
    )
    assert record.user_prompts[0].prompt == "do it"


@pytest.mark.parametrize(("told", "believed"), [(-5.0, True), (-36_000.0, False), (3600.0, False)])
def test_a_call_began_when_mitmproxy_says_unless_the_clock_was_set_since(
    recorder: Recorder, records: Records, told: float, believed: bool
) -> None:
    found, now = call(), time.time()
    found.request.timestamp_start = now + told
    answer(ask(found, recorder), recorder, [b""])
    [record] = records.all
    assert (record.started_at == now + told) == believed
    assert record.duration is not None
    assert record.duration < 60


def test_the_query_is_no_part_of_the_record(recorder: Recorder, records: Records) -> None:
    answer(ask(call(path="/v1/messages?beta=true&key=sk-9f8Zq3vK7rWm2TxLp6Yd"), recorder), recorder, [STREAM])
    assert records.wait(1)[0].path == "/v1/messages"


@pytest.mark.parametrize(
    "found",
    [
        call(host="example.com", path="/"),
        call(path="/v1/models"),
        call(method="GET"),
        call(method="HEAD"),
        call(path="/v1/responses", host="api.openai.com", method="GET"),
    ],
    ids=["host", "path", "GET", "HEAD", "GET without upgrade"],
)
def test_other_requests_pass_unrecorded(recorder: Recorder, records: Records, found: http.HTTPFlow) -> None:
    answer(ask(found, recorder), recorder, [STREAM])
    answer(ask(call(body=LAST), recorder), recorder, [STREAM])
    assert [record.model for record in records.wait(1)] == ["last"]  # in order: an earlier one would be before it


@pytest.mark.parametrize("where", ["sni", "host header"])
def test_a_call_is_known_also_where_another_script_redirects_it(
    recorder: Recorder, records: Records, where: str
) -> None:
    found = call()
    found.request.host = "127.0.0.1"
    if where == "sni":
        found.request.headers["host"] = "127.0.0.1:9"
    else:
        found.client_conn.sni = None
        found.request.headers["host"] = "api.anthropic.com"
    answer(ask(found, recorder), recorder, [STREAM])
    assert records.wait(1)[0].host == "api.anthropic.com"


def test_headers_of_either_case_are_read(recorder: Recorder, records: Records) -> None:
    found = call(**{"User-Agent": "claude-cli/2.1.329 (external, cli)", "X-Claude-Code-Session-Id": "s"})
    answer(ask(found, recorder), recorder, [STREAM])
    record = records.wait(1)[0]
    assert (record.client, record.client_version, record.client_session_id) == ("Claude Code", "2.1.329", "s")


def test_an_answer_that_another_script_made_is_recorded(recorder: Recorder, records: Records) -> None:
    found = ask(call(), recorder)
    found.response = http.Response.make(200, STREAM, {"content-type": "text/event-stream"})
    recorder.responseheaders(found)
    recorder.response(found)
    assert records.wait(1)[0].outcome == "completed"


@pytest.mark.parametrize("many", [False, True])
def test_what_another_script_makes_of_a_stream_is_what_counts(
    recorder: Recorder, records: Records, *, many: bool
) -> None:
    found = ask(call(), recorder)
    found.response = tutils.tresp(headers=http.Headers([(b"content-type", b"text/event-stream")]), content=b"")
    found.response.stream = lambda data: [data[:3], data[3:]] if many else data
    recorder.responseheaders(found)
    stream: Any = found.response.stream
    assert stream(STREAM) == ([STREAM[:3], STREAM[3:]] if many else STREAM)
    recorder.response(found)
    record = records.wait(1)[0]
    assert (record.outcome, record.response_bytes) == ("completed", len(STREAM))


@pytest.mark.parametrize(
    ("message", "gone", "outcome"),
    [
        ("Client disconnected.", False, "cancelled"),
        ("stream closed by client", False, "cancelled"),
        ("connection lost", True, "cancelled"),
        ("server closed connection", True, "failed"),
        ("connection lost", False, "failed"),
    ],
)
def test_a_broken_exchange_says_who_went_first(
    recorder: Recorder, records: Records, message: str, outcome: str, *, gone: bool
) -> None:
    found = ask(call(), recorder)
    found.client_conn.timestamp_end = 1.0 if gone else None
    found.error = flow.Error(message)
    recorder.error(found)
    assert records.wait(1)[0].outcome == outcome


def test_a_stream_that_breaks_keeps_what_had_passed(recorder: Recorder, records: Records) -> None:
    found = ask(call(), recorder)
    found.response = tutils.tresp(headers=http.Headers([(b"content-type", b"text/event-stream")]), content=b"")
    found.client_conn.timestamp_end = None
    recorder.responseheaders(found)
    stream: Any = found.response.stream
    stream(STREAM[:900])
    found.error = flow.Error("peer closed connection")
    recorder.error(found)
    record = records.wait(1)[0]
    assert (record.outcome, record.response_bytes, len(record.token_usages)) == ("failed", 900, 1)


# What is not for us


@pytest.mark.parametrize(("length", "streamed"), [("10", False), ("9999999", True), (None, True), ("x", True)])
def test_what_is_long_or_endless_of_other_hosts_is_not_held_back(
    recorder: Recorder, length: str | None, *, streamed: bool
) -> None:
    found = ask(call(host="example.com", path="/"), recorder)
    fields = [] if length is None else [(b"content-length", length.encode())]
    found.response = tutils.tresp(headers=http.Headers(fields), content=b"")
    recorder.responseheaders(found)
    assert found.response.stream is streamed


def test_what_other_scripts_and_upgrades_want_is_left_alone(recorder: Recorder) -> None:
    def own(data: bytes) -> bytes:
        return data

    found = ask(call(host="example.com", path="/"), recorder)
    found.response = tutils.tresp(headers=http.Headers([]), content=b"")
    found.response.stream = own
    recorder.responseheaders(found)
    assert found.response.stream is own
    upgrade = ask(call(host="example.com", path="/"), recorder)
    upgrade.response = tutils.tresp(status_code=101, headers=http.Headers([]), content=b"")
    recorder.responseheaders(upgrade)
    assert upgrade.response.stream is False


def test_no_exception_leaves_a_hook(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    recorder = started(InProcess(Records()))
    monkeypatch.setattr(recorder, "_router", None)
    with caplog.at_level(logging.ERROR):
        answer(ask(call(), recorder), recorder, [STREAM])
    assert recorder.hook_errors == 1
    assert "the traffic is not affected" in caplog.text


def test_hooks_of_a_proxy_that_does_not_record_do_nothing() -> None:
    recorder = Recorder()
    recorder._started = True
    pieces = [STREAM]
    assert answer(ask(call(), recorder), recorder, pieces) == pieces
    recorder.error(call())
    recorder.done()
    recorder.done()
    assert recorder.hook_errors == 0


def test_where_the_line_is_congested_traffic_passes_unrecorded_and_counted(
    line: InProcess, recorder: Recorder, records: Records
) -> None:
    line.congested = True
    assert answer(ask(call(), recorder), recorder, [STREAM]) == [STREAM]
    line.congested = False
    answer(ask(call(body=LAST), recorder), recorder, [STREAM])
    assert [record.model for record in records.wait(1)] == ["last"]  # in order: an earlier one would be before it
    assert recorder.relay is not None
    assert recorder.relay.refused == 1


# WebSockets


def socket(recorder: Recorder) -> http.HTTPFlow:
    found = call("api.openai.com", "/v1/responses", b"", "GET", upgrade="websocket")
    ask(found, recorder)
    found.response = tutils.tresp(status_code=101, headers=http.Headers([]), content=b"")
    recorder.responseheaders(found)
    found.websocket = websocket.WebSocketData()
    recorder.response(found)
    return found


def say(
    recorder: Recorder, found: http.HTTPFlow, content: bytes, *, from_client: bool, kind: Any = Opcode.TEXT
) -> None:
    assert found.websocket is not None
    found.websocket.messages.append(websocket.WebSocketMessage(kind, from_client, content))
    recorder.websocket_message(found)


def test_each_response_of_a_socket_is_a_record_and_messages_do_not_pile_up(
    recorder: Recorder, records: Records
) -> None:
    found = socket(recorder)
    for number in range(3):
        create = {"type": "response.create", "model": "m", "input": [user(f"prompt {number}")]}
        say(recorder, found, dump(create), from_client=True)
        say(recorder, found, b"\0binary", from_client=False, kind=Opcode.BINARY)
        for event in response_events():
            say(recorder, found, dump(event), from_client=False)
    found_records = records.wait(3)
    assert [record.user_prompts[0].prompt for record in found_records] == ["prompt 0", "prompt 1", "prompt 2"]
    assert {record.outcome for record in found_records} == {"completed"}
    assert {record.api for record in found_records} == {RESPONSES}
    assert found.websocket is not None
    assert len(found.websocket.messages) <= 1


@pytest.mark.parametrize(("by_client", "outcome"), [(True, "cancelled"), (None, "cancelled"), (False, "failed")])
def test_a_socket_that_closes_ends_what_was_open(
    recorder: Recorder, records: Records, outcome: str, *, by_client: bool | None
) -> None:
    found = socket(recorder)
    say(recorder, found, dump({"type": "response.create", "model": "m", "input": "hi"}), from_client=True)
    assert found.websocket is not None
    found.websocket.closed_by_client = by_client
    recorder.websocket_end(found)
    assert [record.outcome for record in records.wait(1)] == [outcome]


def test_an_upgrade_that_was_refused_is_no_record(recorder: Recorder, records: Records) -> None:
    found = call("api.openai.com", "/v1/responses", b"", "GET", upgrade="websocket")
    answer(ask(found, recorder), recorder, [], status=426)
    answer(ask(call("api.openai.com", "/v1/chat/completions"), recorder), recorder, [sse(CHAT, answers(CHAT))])
    assert [record.api for record in records.wait(1)] == [CHAT]


def test_the_language_of_a_socket_is_that_of_its_route_and_a_post_there_is_no_call(
    recorder: Recorder, records: Records
) -> None:
    answer(ask(call("api.openai.com", "/v1/realtime"), recorder), recorder, [STREAM])
    found = call("api.openai.com", "/v1/realtime?model=m", b"", "GET", upgrade="websocket")
    ask(found, recorder)
    found.response = tutils.tresp(status_code=101, headers=http.Headers([]), content=b"")
    recorder.responseheaders(found)
    found.websocket = websocket.WebSocketData()
    recorder.response(found)
    say(recorder, found, dump({"type": "response.create"}), from_client=True)
    say(recorder, found, dump({"type": "response.done", "response": {"status": "completed"}}), from_client=False)
    assert [(record.api, record.model) for record in records.wait(1)] == [("openai.realtime", "m")]


def test_json_in_binary_frames_is_read_as_google_writes_it(recorder: Recorder, records: Records) -> None:
    path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    found = call("generativelanguage.googleapis.com", path, b"", "GET", upgrade="websocket")
    ask(found, recorder)
    found.response = tutils.tresp(status_code=101, headers=http.Headers([]), content=b"")
    recorder.responseheaders(found)
    found.websocket = websocket.WebSocketData()
    recorder.response(found)
    say(recorder, found, dump({"setup": {"model": "models/m"}}), from_client=True)
    say(recorder, found, dump({"clientContent": {"turns": [{"parts": [{"text": "hi"}]}]}}), from_client=True)
    done = {"serverContent": {"turnComplete": True}, "usageMetadata": {"promptTokenCount": 3}}
    say(recorder, found, dump(done), from_client=False, kind=Opcode.BINARY)
    [record] = records.wait(1)
    assert (record.api, record.model, record.outcome) == ("google.live", "m", "completed")
    assert record.token_usages[0].input_tokens == 3


# Life of the proxy


def run(recorder: Recorder, *flows: http.HTTPFlow, **options: str) -> None:
    async def life() -> None:
        with taddons.context(recorder) as context:
            if options:
                context.configure(recorder, **options)
            recorder.running()
            for one in flows:
                answer(ask(one, recorder), recorder, [STREAM])
            recorder.done()

    asyncio.run(life())


def test_what_was_recorded_is_in_the_database_when_the_proxy_has_stopped(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    recorder = Recorder()
    run(recorder, call(), call(), aitap_database_url=url)
    assert recorder.relay is None
    database = open_database(url)
    try:
        rows = list_interceptions(database, Filter(), limit=10)
    finally:
        database.close()
    assert [(row["model"], row["outcome"]) for row in rows] == [("m", "completed")] * 2
    assert {row["initiator"]["id"] for row in rows} == {local_user()[0]}


def test_a_bad_option_is_refused_where_it_is_given(tmp_path: Path) -> None:
    with taddons.context() as context:
        recorder = Recorder()
        context.master.addons.add(recorder)
        recorder.relay = Relay(InProcess(Records()), lambda _, call: call())
        with pytest.raises(exceptions.OptionsError, match="capture"):
            context.configure(recorder, aitap_capture="everything")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AITAP_CAPTUR", "minimal", "AITAP_CAPTURE"),
        ("AITAP_RETENTION", "soon", "retention"),
        ("AITAP_DATABASE_URL", "sqlite:////dev/null/no/a.db", "aitap"),
    ],
)
def test_a_proxy_that_could_not_record_says_so_in_one_line_and_records_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    recorder = Recorder()
    with caplog.at_level(logging.ERROR):
        run(recorder, call())
    (line,) = [entry for entry in caplog.records if entry.levelno >= logging.ERROR]
    assert words in line.getMessage()
    assert line.exc_info is None


def test_a_long_stream_is_the_same_record_in_whatever_pieces_it_comes(recorder: Recorder, records: Records) -> None:
    for pieces in (cut(STREAM, range(0, len(STREAM), 3)), [STREAM]):
        assert len(pieces) == 1 or len(pieces) > 200
        answer(ask(call(), recorder), recorder, pieces)
    first, second = (
        msgspec.to_builtins(
            [record.token_usages[0].output_tokens, [(t.tool, t.input) for t in record.tool_usages], record.outcome]
        )
        for record in records.wait(2)
    )
    assert first == second
