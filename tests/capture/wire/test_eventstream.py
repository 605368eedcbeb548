"""Amazon's event stream."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
import uuid
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.wire.eventstream import EventStreamParser, parse_headers
from tests.capture.framing import event, exception, frame, text_header
from tests.capture.making import cut, cuts

Event = tuple[bytes, bytes]

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(lambda name: len(name.encode()) < 256)


def _encoded(value: Any) -> bytes:
    kind, content = value
    formats = {2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q"}
    if kind in formats:
        return struct.pack(formats[kind], content)
    if kind in (6, 7):
        data = content if kind == 6 else content.encode()
        return struct.pack(">H", len(data)) + data
    return content.bytes if kind == 9 else b""


values = st.one_of(
    st.just((0, True)),
    st.just((1, False)),
    *(
        st.tuples(st.just(kind), st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        for kind, bits in ((2, 8), (3, 16))
    ),
    *(
        st.tuples(st.just(kind), st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        for kind, bits in ((4, 32), (5, 64))
    ),
    st.tuples(st.just(6), st.binary(max_size=40)),
    st.tuples(st.just(7), st.text(st.characters(codec="utf-8"), max_size=40)),
    st.tuples(st.just(8), st.integers(0, 4_000_000_000_000)),
    st.tuples(st.just(9), st.uuids()),
)
# The frames below carry their own message type and event type; a header may stand in a frame but once.
others = names.filter(lambda name: name not in (":message-type", ":event-type"))
header_blocks = st.dictionaries(others, values, max_size=5)


def block(headers: dict[str, Any]) -> bytes:
    return b"".join(
        struct.pack(">B", len(name.encode())) + name.encode() + struct.pack(">B", value[0]) + _encoded(value)
        for name, value in headers.items()
    )


kinds = st.sampled_from(["chunk", "metadata", "contentBlockDelta", "ünïcode"])
frames = st.builds(
    lambda headers, kind, payload: (
        frame(block(headers) + text_header(":message-type", "event") + text_header(":event-type", kind), payload),
        (kind.encode(), payload),
    ),
    header_blocks,
    kinds,
    st.binary(max_size=100),
)


def parse(pieces: list[bytes]) -> tuple[list[Event], EventStreamParser]:
    parser = EventStreamParser()
    return [item for piece in pieces for item in parser.feed(piece)] + parser.finish(), parser


@given(st.data(), st.lists(frames, max_size=5))
def test_any_split_gives_every_frame_whole(data: st.DataObject, made: list[tuple[bytes, Event]]) -> None:
    stream = b"".join(wire for wire, _ in made)
    found, parser = parse(cut(stream, data.draw(cuts(len(stream)))))
    assert found == [expected for _, expected in made]
    assert parser.problem is None


@given(st.data(), st.lists(frames, min_size=1, max_size=4))
def test_any_changed_byte_ends_decoding_with_the_problem_said(
    data: st.DataObject, made: list[tuple[bytes, Event]]
) -> None:
    stream = bytearray(b"".join(wire for wire, _ in made))
    place = data.draw(st.integers(0, len(stream) - 1))
    stream[place] ^= data.draw(st.integers(1, 255))
    found, parser = parse(cut(bytes(stream), data.draw(cuts(len(stream)))))

    before = 0
    for whole, (wire, _) in enumerate(made):
        before += len(wire)
        if place < before:
            assert found == [expected for _, expected in made[:whole]]
            break
    assert parser.problem is not None
    assert parser.problem.startswith("the event stream")
    assert parser.feed(b"".join(wire for wire, _ in made)) == []


@given(header_blocks)
def test_every_type_of_header_value_is_read(headers: dict[str, Any]) -> None:
    assert parse_headers(block(headers)) == {name: content for name, (_, content) in headers.items()}


@given(st.binary(max_size=60))
def test_headers_that_are_none_raise_value_error_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_headers(data), dict)


@given(header_blocks, kinds, st.binary(max_size=200))
def test_frames_read_as_botocore_reads_them(headers: dict[str, Any], kind: str, payload: bytes) -> None:
    wire = frame(block(headers) + text_header(":event-type", kind), payload)
    buffer = EventStreamBuffer()
    buffer.add_data(wire)
    [theirs] = list(buffer)

    found, _ = parse([wire])
    assert found == [(theirs.headers[":event-type"].encode(), theirs.payload)]
    ours = {name: value.bytes if isinstance(value, uuid.UUID) else value for name, value in headers_of(wire).items()}
    assert ours == theirs.headers


def headers_of(wire: bytes) -> dict[str, Any]:
    return parse_headers(wire[12 : 12 + int.from_bytes(wire[4:8])])


@given(st.data(), st.lists(frames, min_size=1, max_size=3))
def test_what_botocore_refuses_is_refused(data: st.DataObject, made: list[tuple[bytes, Event]]) -> None:
    stream = bytearray(b"".join(wire for wire, _ in made))
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    buffer = EventStreamBuffer()
    buffer.add_data(bytes(stream))
    theirs = []
    with contextlib.suppress(ParserError):
        theirs.extend((message.headers[":event-type"].encode(), message.payload) for message in buffer)
    found, parser = parse([bytes(stream)])
    assert parser.problem is not None
    assert found[: len(theirs)] == theirs


def test_an_exception_is_named_by_its_type() -> None:
    assert parse([exception("throttlingException", "Slow down")])[0] == [
        (b"exception:throttlingException", b'{"message":"Slow down"}')
    ]


def test_the_message_of_an_error_frame_stands_in_its_headers() -> None:
    headers = (("message-type", "error"), ("error-code", "InternalError"), ("error-message", 'It "broke"'))
    wire = frame(b"".join(text_header(":" + name, value) for name, value in headers), b"")
    assert parse([wire])[0] == [(b"error:InternalError", b'{"message":"It \\"broke\\""}')]


def test_a_frame_that_names_no_type_is_a_message() -> None:
    assert parse([frame(b"", b"{}")])[0] == [(b"message", b"{}")]


@pytest.mark.parametrize(
    ("total", "headers"), [(0, 0), (15, 0), (16, 1), (2**32 - 1, 0), (200_000, 131_073), (24 * 2**20 + 17, 0)]
)
def test_a_length_that_cannot_be_ends_decoding_at_once(total: int, headers: int) -> None:
    prelude = struct.pack(">II", total, headers)
    good = event("chunk", {})
    found, parser = parse([good + prelude + struct.pack(">I", crc32(prelude)), good])
    assert len(found) == 1
    assert parser.problem == f"the event stream is broken: a frame of {total} bytes with {headers} bytes of headers"


def test_a_header_that_stands_twice_ends_decoding() -> None:
    _, parser = parse([frame(text_header("a", "1") + text_header("a", "2"), b"")])
    assert parser.problem == "the event stream is broken: the header 'a' twice"


def test_a_stream_that_ends_inside_a_frame_says_so() -> None:
    found, parser = parse([event("chunk", {"a": 1}) + event("chunk", {})[:-1]])
    assert [kind for kind, _ in found] == [b"chunk"]
    assert parser.problem == "the event stream ended inside a frame"


def test_a_long_stream_holds_no_more_than_one_frame() -> None:
    wire = event("chunk", {"bytes": "x" * 10_000})
    parser = EventStreamParser()
    parser.feed(wire)
    tracemalloc.start()
    try:
        for _ in range(500):
            for start in range(0, len(wire), 1500):
                parser.feed(wire[start : start + 1500])
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_frame_of_many_megabytes_in_small_pieces_is_linear_work() -> None:
    wire = frame(text_header(":event-type", "chunk"), b"x" * (8 * 2**20))
    parser = EventStreamParser()
    found = [item for start in range(0, len(wire), 4096) for item in parser.feed(wire[start : start + 4096])]
    assert [(kind, len(payload)) for kind, payload in found] == [(b"chunk", 8 * 2**20)]
