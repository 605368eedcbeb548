"""The recorder's end of the line; what it does as a process is in test_line.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.frames import Frames
from aitap.capture.recorder import Recorder, RecorderSettings, unpack_head
from aitap.capture.relay import BEGIN, BODY, DATA, END, RESPOND
from aitap.capture.routes import Route, Router
from aitap.storage.database import open_database
from tests.capture.making import dump

BODIES = [b"a" * 70_000, b"", b"b" * 65_537]
ITEMS: list[list[Any]] = [
    [[BEGIN, 1, 0.5, None, None], [DATA, 1, 0.5, b"x"], [BEGIN, 2, 0.5, None, b"short"]],
    [],
    [[BEGIN, 3, 0.5, None, None], [BEGIN, 4, 0.5, None, None]],
]


def framed(frame: bytes, kind: int = 0) -> bytes:
    return (len(frame) | kind).to_bytes(8) + frame


STREAM = b"".join(
    [
        framed(BODIES[0], BODY),
        framed(msgspec.msgpack.encode(ITEMS[0])),
        framed(msgspec.msgpack.encode(ITEMS[1])),
        framed(BODIES[1], BODY),
        framed(BODIES[2], BODY),
        framed(msgspec.msgpack.encode(ITEMS[2])),
    ]
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20).map(sorted))
def test_any_split_gives_the_same_frames_with_each_long_body_in_its_place(cuts: list[int]) -> None:
    frames = Frames()
    found: list[Any] = []
    for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True):
        found += frames.feed(STREAM[start:end])
    bodies = [item[4] for items in found for item in items if item[0] == BEGIN]
    assert bodies == [BODIES[0], b"short", BODIES[1], BODIES[2]]
    assert [len(items) for items in found] == [3, 0, 2]


def test_a_frame_that_the_proxy_did_not_finish_is_let_go() -> None:
    frames = Frames()
    assert frames.feed(framed(msgspec.msgpack.encode(ITEMS[0]))[:-1]) == []


def test_a_head_comes_back_as_it_was_noted() -> None:
    route = Route("anthropic", "anthropic", "anthropic.messages")
    packed = (route, "POST", "h", "/p", "q=1", "HTTP/1.1", ((b"X-Api-Key", b"k"), (b"x-api-key", b"second")), 1.5)
    head = unpack_head(msgspec.msgpack.decode(msgspec.msgpack.encode(packed)))
    assert (head.route, head.host, head.query, head.started_at) == (route, "h", "q=1", 1.5)
    assert head.headers.get("x-api-key") == "k"


@pytest.mark.parametrize("status", ["completed", "in_progress"])
def test_an_answer_that_is_fetched_is_needed_from_its_beginning_until_it_is_safe(tmp_path: Path, status: str) -> None:
    """Or it would be lost, and not counted, with a recorder that dies before it is stored."""
    url = f"sqlite:///{tmp_path}/records.db"
    open_database(url, migrate=True).close()
    recorder = Recorder(RecorderSettings(url, "me", "metadata+prompt", 0.0, 0.0, 3600.0))
    route = Router().fetch("api.openai.com", "/v1/responses/resp_1")
    head = (route, "GET", "api.openai.com", "/v1/responses/resp_1", "", "HTTP/1.1", (), 1.0)
    told = {"id": "resp_1", "object": "response", "background": True, "created_at": 1, "status": status, "model": "m"}
    wire: list[Any] = [
        [(BEGIN, 1, 1.0, head, b"")],
        [(RESPOND, 1, 1.0, 200, ((b"content-type", b"application/json"),)), (DATA, 1, 1.0, dump(told))],
        [(END, 1, 1.0, None, False)],
    ]
    marks = []
    for items in wire:
        recorder.take(msgspec.msgpack.decode(msgspec.msgpack.encode(items)))
        marks.append(recorder.accounts.marks())
    assert marks == [(0, 0), (0, 0), (0, 0) if status == "completed" else (3, 3)]
    assert recorder.writer.flush(60)
    assert recorder.accounts.marks() == (3, 3)
    assert recorder.close()
    assert recorder.writer.stats.written == (status == "completed")
