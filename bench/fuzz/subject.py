"""What is attacked: the addon's hooks, what a policy reads of a request, the line, the recorder and its database.

All in one process, and no turn of a loop between: an exchange that is over is recorded when :meth:`Subject.settle`
returns. What mitmproxy promises of its hooks (each exchange has one end) is all that is relied on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, cast

import msgspec
from mitmproxy import flow, http, websocket
from mitmproxy.test import tflow, tutils
from wsproto.frame_protocol import Opcode

from aitap.access.policy import asked_model
from aitap.capture.addon import Recorder as Addon
from aitap.capture.frames import Frames
from aitap.capture.line import RecorderLine
from aitap.capture.recorder import Recorder, RecorderSettings
from aitap.capture.relay import Relay
from aitap.storage.losses import LOSSES
from bench.fuzz.promises import broken
from bench.fuzz.tellers import Tellers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aitap.record import CaptureMode, Interception

__all__ = ["TOLD", "Finding", "Subject", "request_flow"]

Fields = tuple[tuple[bytes, bytes], ...]

TOLD = 8
"""Of so many exchanges the records of one are told of, too: that takes as long as all else."""

_SLOW = 20.0
"""Seconds of the processor above which one exchange is a finding."""


class Finding(msgspec.Struct, frozen=True):
    """Something that must not be."""

    number: int
    """Of the exchange, from which on it was so."""
    what: str


class _Straight(RecorderLine):
    """A line whose other end is in this process."""

    def __init__(self, settings: RecorderSettings, recorder: Recorder) -> None:
        self._frames = Frames()
        self._recorder = recorder
        super().__init__(settings, cast("asyncio.AbstractEventLoop", None))

    def _start(self) -> None:
        self._up = True

    def _write(self) -> None:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        for items in self._frames.feed(data):
            self._recorder.take(items)
        self.held.let_go(*self._recorder.accounts.marks())


class _Words(logging.Handler):
    """Keeps the last complaint of our own code."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`."""
        error = record.exc_info[1] if record.exc_info else None
        said = f"{record.getMessage()} {error!r}"[:500]
        if error is None and self.last.startswith("interception"):
            return
        self.last = said
        if error is not None and error.__traceback__ is not None:
            trace = error.__traceback__
            while trace.tb_next is not None:
                trace = trace.tb_next
            self.last += f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


class Subject:
    """One proxy with its recorder, recording into this database."""

    def __init__(
        self, database_url: str, capture: CaptureMode, redact: tuple[str, ...] = (), told_of: int = TOLD
    ) -> None:
        settings = RecorderSettings(database_url, "me", capture, 0.0, 0.0, 1.0, redact=redact)
        self.recorder = Recorder(settings)
        self._line = _Straight(settings, self.recorder)
        self._addon = Addon()
        self._addon._started = True
        self._addon.relay = self._relay = Relay(self._line, lambda *_: None)
        self._relay.on_opened, self._relay.on_closed = self._line.held.opened, self._line.held.closed
        self.findings: list[Finding] = []
        self._number = 0
        self._loop = asyncio.new_event_loop()
        self._tellers = Tellers()
        self._told_of = told_of
        self._submit = self.recorder.pipeline._sink.submit
        self.recorder.pipeline._sink = cast("Any", self)
        self._known: dict[str, int] = {}
        self._words = _Words()
        logging.getLogger("aitap").addHandler(self._words)

    # Traffic, as mitmproxy tells of it

    def exchange(
        self, number: int, found: http.HTTPFlow, answer: http.Response | None, pieces: Iterable[bytes], error: str
    ) -> None:
        """A request, an answer's head and its pieces (or none), and an end: as it should be, or with an error."""
        begun, self._number = time.thread_time(), number
        try:
            self._addon.requestheaders(found)
            self._addon.request(found)
            if answer is not None:
                found.response = answer
                self._addon.responseheaders(found)
                self._stream(number, answer, pieces)
            if error or answer is None:
                found.error = flow.Error(error or "silence")
                self._addon.error(found)
            else:
                self._addon.response(found)
            self._relay.flush()
            self._loop.run_until_complete(_ask(found))
        except Exception as raised:  # noqa: BLE001 - this is what is looked for
            self._find(number, f"raised: {raised!r}")
        self._look(number, begun)

    def _stream(self, number: int, answer: http.Response, pieces: Iterable[bytes]) -> None:
        stream = answer.stream
        for piece in [*pieces, b""]:
            passed = cast("Callable[[bytes], Any]", stream)(piece) if callable(stream) else piece
            if passed is not piece:
                self._find(number, f"a piece of {len(piece)} bytes was changed")

    def socket(self, number: int, found: http.HTTPFlow, messages: Iterable[tuple[bool, bool, bytes]], end: str) -> None:
        """A WebSocket: who speaks (the client?), whether it is text, and what; ``end`` is how it is over."""
        begun, self._number = time.thread_time(), number
        try:
            self._addon.requestheaders(found)
            self._addon.request(found)
            found.response = tutils.tresp(status_code=101, content=b"")
            self._addon.responseheaders(found)
            found.websocket = websocket.WebSocketData()
            self._addon.response(found)
            at = time.time()
            for place, (client, text, content) in enumerate(messages):
                kind = Opcode.TEXT if text else Opcode.BINARY
                message = websocket.WebSocketMessage(kind, client, content, at + place / 1000)
                found.websocket.messages.append(message)
                self._addon.websocket_message(found)
                if client:
                    self._loop.run_until_complete(asked_model.in_frame(content))
                if message.content is not content:
                    self._find(number, f"a message of {len(content)} bytes was changed")
            found.websocket.closed_by_client = {"client": True, "provider": False}.get(end)
            self._addon.websocket_end(found)
            self._relay.flush()
        except Exception as raised:  # noqa: BLE001 - this is what is looked for
            self._find(number, f"raised: {raised!r}")
        self._look(number, begun)

    # Judging

    def submit(self, record: Interception) -> bool:
        """See :class:`aitap.capture.pipeline.Sink`: each record is looked at on its way to the writer."""
        if record.ended_at is not None:
            told = self._tellers.told(record) if self._number % self._told_of == 0 else ()
            self.findings += [Finding(self._number, f"{record.api}: {what}") for what in (*broken(record), *told)]
        return self._submit(record)

    def _find(self, number: int, what: str) -> None:
        self.findings.append(Finding(number, what))

    def _look(self, number: int, begun: float) -> None:
        addon, recorder = self._addon, self.recorder
        if (took := time.thread_time() - begun) > _SLOW:
            self._find(number, f"took {took:.1f} s")
        counts = {
            "hook errors": addon.hook_errors,
            "relay faults": self._relay.faults,
            "decode errors": recorder.pipeline.decode_errors,
            "not handed over": self._line.dropped,
            "lost": recorder.writer.stats.lost,
            "open in the addon": len(addon._exchanges) + len(addon._sockets),
            "open in the recorder": len(recorder._exchanges) + len(recorder._sockets),
            "records open": len(recorder.pipeline._open),
        }
        for name, count in counts.items():
            if count > self._known.get(name, 0):
                self._find(number, f"{name}: {count}; {self._words.last}")
                self._known[name] = count

    def wait(self) -> None:
        """Until all is written, or counted as lost."""
        self.recorder.writer.flush(120)

    def close(self, number: int) -> int:
        """End it; how many records it wrote."""
        self.wait()
        stats = self.recorder.writer.stats
        opened = self.recorder.accounts._opened
        if not self.recorder.close() or stats.lost:
            self._find(number, f"lost at the end: { {LOSSES[name]: count for name, count in stats.lost_by.items()} }")
        if self._known.get("lost", 0) < stats.lost:
            self._find(number, f"lost: {stats.lost}; {self._words.last}")
        logging.getLogger("aitap").removeHandler(self._words)
        self.findings += [Finding(number, what) for what in self._tellers.close()]
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        return opened


async def _ask(found: http.HTTPFlow) -> None:
    """What a policy wants to know of a request before it goes on: which models it names."""
    content, path = found.request.raw_content or b"", found.request.path
    for api in ("bedrock.invoke", "google.generate_content", "openai.chat_completions", "vertex.anthropic"):
        asked_model.in_path(api, path.partition("?")[0])
    asked_model.in_query(path.partition("?")[2])
    coding = found.request.headers.get("content-encoding", "")
    await asked_model.in_body(await asked_model.undone(content, coding) if coding else content)


def request_flow(method: bytes, host: str, path: bytes, headers: Fields, body: bytes, version: bytes) -> http.HTTPFlow:
    """A flow as mitmproxy has it when a request has come."""
    now = time.time()
    fields = http.Headers(headers)
    request = http.Request(host, 443, method, b"https", b"", path, version, fields, body, None, now, now)
    _CLIENT.sni = host
    found = http.HTTPFlow(_CLIENT, _SERVER)
    found.request = request
    return found


# To make connections costs more than all else; what is attacked looks at them, no more.
_CLIENT, _SERVER = tflow.tclient_conn(), tflow.tserver_conn()
_CLIENT.timestamp_end = None
