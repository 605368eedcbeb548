"""The recorder's end of the line; what it does as a process is in test_line.py."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.frames import Frames
from aitap.capture.recorder import unpack_head
from aitap.capture.relay import BEGIN, BODY, DATA
from aitap.capture.routes import Route

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
