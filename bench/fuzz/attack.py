"""One hostile exchange after the other, the same for the same seed and number."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

from mitmproxy import http

from bench.fuzz import mutations
from bench.fuzz.codings import coded
from bench.fuzz.framing import frame_damaged, reframed
from bench.fuzz.samples import SAMPLES, SECRET, WRONG
from bench.fuzz.subject import Fields, request_flow
from bench.fuzz.talks import TALKS
from tests.capture.framing import EVENT_STREAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.corpus import Sample
    from bench.fuzz.subject import Subject
    from bench.fuzz.talks import Talk

__all__ = ["attack", "planned"]

_SOCKETS = 0.08
_UNHARMED = 0.05
"""The share of exchanges of which nothing is changed but how it is cut."""
_LABELS = ("eu-1", "a", "\u00e9", "x.y", "")
_STATUS = (200, 200, 200, 200, 200, 201, 204, 206, 299, 304, 400, 401, 403, 404, 413, 429, 499, 500, 502, 503, 529, 599)
_ERRORS = (
    *("", "", "", "Client disconnected.", "peer closed connection", "server closed connection", "connection timed out"),
    *("stream reset by client (CANCEL)", "stream reset by client (INTERNAL_ERROR)", "\ud800", "half \0 of it"),
)
_CLIENTS: tuple[Fields, ...] = (
    (),
    ((b"user-agent", b"claude-cli/2.1.0 (external, cli)"), (b"x-claude-code-session-id", b"s-1"), (b"x-app", b"cli")),
    ((b"user-agent", b"codex_cli_rs/0.169.0 (Debian)"), (b"session-id", b"s-2"), (b"originator", b"codex_cli_rs")),
    ((b"user-agent", b"GeminiCLI/0.21.0/gemini-3 (linux; x64)"),),
    ((b"user-agent", b"GitHubCopilotChat/0.36.1"), (b"x-interaction-id", b"i-1"), (b"editor-version", b"vscode/1")),
    ((b"user-agent", b"OpenAI/Python 2.0.0"), (b"x-stainless-retry-count", b"1")),
)


def attack(subject: Subject, seed: int, number: int) -> None:
    """Exchange ``number`` of those of a seed."""
    dice = Random(seed * 1_000_003 + number)
    if dice.random() < _SOCKETS:
        _socket(subject, dice, number, dice.choice(TALKS))
    else:
        _exchange(subject, dice, number, dice.choice(SAMPLES))


def _exchange(subject: Subject, dice: Random, number: int, sample: Sample) -> None:
    unharmed = dice.random() < _UNHARMED
    body, coding = (sample.body, b"") if unharmed else coded(dice, _body(dice, sample.body))
    headers: Fields = (
        (b"host", sample.host.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"authorization", b"Bearer " + SECRET.encode()),
        *dice.choice(_CLIENTS),
        *(((b"content-encoding", coding),) if coding else ()),
    )
    path = (sample.path + (f"?{sample.query}" if sample.query else "")).encode()
    method, version = b"POST", b"HTTP/1.1"
    if not unharmed:
        headers = mutations.fields(dice, headers)
        version = dice.choice((b"HTTP/1.1", b"HTTP/2.0", b"HTTP/1.0", b"HTTP/3", b"\xff"))
        if dice.random() < 0.05:
            path = dice.choice(
                (path + b"?key=\xff&x=%00", path.replace(b"/", b"//"), b"/%2e" + path, path + b"#\xed\xa0")
            )
        if dice.random() < 0.02:
            method = dice.choice((b"post", b"GET", b"PUT", b"\xff"))
    host = sample.host.replace("*", dice.choice(_LABELS))
    found = request_flow(method, host, path, headers, body, version)
    if dice.random() < 0.03:
        subject.exchange(number, found, None, (), dice.choice(_ERRORS))
        return
    answer, pieces = _answer(dice, sample, unharmed=unharmed)
    subject.exchange(number, found, answer, pieces, "" if unharmed else dice.choice(_ERRORS))


def planned(dice: Random, sample: Sample) -> tuple[bytes, dict[str, str], list[bytes]]:
    """A request's body, the fields of its answer and the answer's pieces: all that HTTP allows to be sent."""
    body = _body(dice, sample.body)
    data, coding = coded(dice, b"".join(_pieces(dice, sample)))
    fields = {"content-type": dice.choice((sample.content_type,) * 9 + ("text/plain",)), "request-id": "req_1"}
    if coding and coding.isascii():
        fields["content-encoding"] = coding.decode()
    return body, fields, mutations.split(dice, data)


def _body(dice: Random, body: bytes) -> bytes:
    chance = dice.random()
    if chance < 0.4:
        return body
    if chance < 0.8:
        return mutations.json_damaged(dice, body)
    return mutations.damaged(dice, body) if chance < 0.99 else dice.randbytes(dice.randrange(400))


def _answer(dice: Random, sample: Sample, *, unharmed: bool) -> tuple[http.Response, list[bytes]]:
    data = b"".join(sample.pieces)
    content_type, coding = sample.content_type, b""
    if not unharmed:
        if dice.random() < 0.03:
            sample = dice.choice(SAMPLES)  # in another language
        if dice.random() < 0.04:
            data = dice.choice(WRONG)
            content_type = dice.choice((content_type, "application/json", "text/html"))
            data = mutations.json_damaged(dice, data) if dice.random() < 0.5 else data
        else:
            data = b"".join(_pieces(dice, sample))
            if not sample.streamed and dice.random() < 0.6:
                data = mutations.json_damaged(dice, data)
            if dice.random() < 0.1:
                data = mutations.damaged(dice, data)
        data, coding = coded(dice, data)
    headers: Fields = (
        (b"content-type", content_type.encode()),
        (b"request-id", b"req_1"),
        *(((b"content-encoding", coding),) if coding else ()),
    )
    if not unharmed:
        headers = mutations.fields(dice, headers)
    status = 200 if unharmed else dice.choice(_STATUS)
    answer = http.Response(b"HTTP/1.1", status, b"", http.Headers(headers), None, None, time.time(), None)
    return answer, mutations.split(dice, data)


def _pieces(dice: Random, sample: Sample) -> list[bytes]:
    """The answer's events in disorder, in another dress, and some of them once more after the end."""
    framed = sample.content_type == EVENT_STREAM
    pieces = mutations.disordered(dice, sample.pieces, frame_damaged if framed else None)
    if dice.random() < 0.05:
        pieces += dice.choice((sample, dice.choice(SAMPLES))).pieces
    if sample.content_type == "text/event-stream" and dice.random() < 0.3:
        pieces = reframed(dice, pieces)
    return pieces


def _socket(subject: Subject, dice: Random, number: int, talk: Talk) -> None:
    path = talk.path + (f"?{talk.query}" if talk.query else "")
    headers: Fields = ((b"host", talk.host.encode()), (b"upgrade", b"websocket"), (b"connection", b"Upgrade"))
    headers = mutations.fields(dice, (*headers, *dice.choice(_CLIENTS)))
    found = request_flow(b"GET", talk.host, path.encode(), headers, b"", b"HTTP/1.1")
    messages = [(True, True, _message(dice, message)) for message in talk.opening if dice.random() < 0.95]
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 5, 30))):
        asked, answered = dice.choice(talk.turns)
        for _ in range(dice.choice((1, 1, 1, 0, 2))):
            messages += [(True, dice.random() < 0.98, _message(dice, message)) for message in asked]
        answers: Sequence[bytes] = mutations.disordered(dice, answered) if dice.random() < 0.6 else answered
        messages += [(dice.random() < 0.02, dice.random() < 0.99, message) for message in answers]
    subject.socket(number, found, messages, dice.choice(("client", "provider", "nobody")))


def _message(dice: Random, message: bytes) -> bytes:
    return mutations.json_damaged(dice, message) if dice.random() < 0.3 else message
