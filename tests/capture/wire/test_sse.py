"""Server-sent events."""

from __future__ import annotations

import re
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.wire.sse import Event, SSEParser
from tests.capture.making import cut, cuts

_LINES = [
    *(b"data: a", b"data:b", b"data", b"data:", b"data:  two blanks", b"data: x:y", b'data: {"k": 1}'),
    *(b"event: kind", b"event:kind", b"event", b"event:", b"event: one", b": comment", b":", b"id: 1", b"retry: 5"),
    *(b"datax: no", b" data: no", b"", b"\xff\x00", b"Data: no", b'{"error":', b' {"code": 503}', b"}", b"error: no"),
]

streams = st.builds(
    lambda bom, lines, rest: bom + b"".join(line + end for line, end in lines) + rest,
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb"]),
    st.lists(st.tuples(st.sampled_from(_LINES), st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])), max_size=30),
    st.sampled_from([b"", b"data: last", b"data: last\n", b"event: x", b"\r"]),
)


def reference(stream: bytes) -> list[Event]:
    """The WHATWG rules (HTML, 9.2.6), line by line; an event that the end of the stream cuts off is given, too.

    A block without data that begins with a brace is an object that somebody did not put into an event.
    """
    events, kind, data = [], b"", None
    block: list[bytes] = []
    for line in [*re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf")), b""]:
        if line == b"":
            if data is not None:
                events.append((kind or b"message", data))
            elif block and block[0].startswith(b"{"):
                events.append((kind or b"message", b"\n".join(block)))
            kind, data, block = b"", None, []
            continue
        block.append(line)
        name, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if name == b"event":
            kind = value
        elif name == b"error":
            kind, data = name, value if data is None else data + b"\n" + value
        elif name == b"data":
            data = value if data is None else data + b"\n" + value
    return events


def parse(pieces: list[bytes], **options: int) -> tuple[list[Event], SSEParser]:
    parser = SSEParser(**options)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.finish(), parser


@given(st.data(), st.one_of(streams, st.binary(max_size=200)))
def test_any_split_gives_what_the_standard_says(data: st.DataObject, stream: bytes) -> None:
    pieces = cut(stream, data.draw(cuts(len(stream))))
    assert parse(pieces)[0] == reference(stream)


@given(st.data(), streams, st.integers(0, 40))
def test_any_split_drops_the_same_blocks_that_are_too_large(data: st.DataObject, stream: bytes, limit: int) -> None:
    whole, parser = parse([stream], limit=limit)
    again, other = parse(cut(stream, data.draw(cuts(len(stream)))), limit=limit)
    assert (again, other.oversized) == (whole, parser.oversized)


def test_the_three_line_ends_mean_the_same() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        stream = end.join([b"event: a", b"data: 1", b"data: 2", b"", b"data: 3", b"", b""])
        assert parse([stream])[0] == [(b"a", b"1\n2"), (b"message", b"3")]


def test_a_line_end_cut_in_half_is_one_line_end() -> None:
    assert parse([b"data: 1\r", b"\ndata: 2\r", b"\n\r", b"\n"])[0] == [(b"message", b"1\n2")]


def test_an_object_outside_of_any_event_is_one() -> None:
    stream = b'data: 1\r\n\r\n{\r\n  "error": {"code": 503}\r\n}\r\n'
    assert parse([stream])[0] == [(b"message", b"1"), (b"message", b'{\n  "error": {"code": 503}\n}')]


def test_an_event_is_given_as_soon_as_its_blank_line_is_there() -> None:
    parser = SSEParser()
    assert parser.feed(b"data: 1\n") == []
    assert parser.feed(b"\n") == [(b"message", b"1")]


def test_the_last_event_needs_no_blank_line() -> None:
    parser = SSEParser()
    assert parser.feed(b"data: 1\n\ndata: 2") == [(b"message", b"1")]
    assert parser.finish() == [(b"message", b"2")]


def test_blocks_with_a_skipped_prefix_are_counted_and_not_given() -> None:
    parser = SSEParser()
    parser.skip = (b"event: delta\ndata: ", b": ping")
    events = parser.feed(b"event: delta\r\ndata: 1\r\n\r\n: ping\r\n\r\nevent: other\r\ndata: 2\r\n\r\n")
    assert events == [(b"other", b"2")]
    assert parser.skipped == 2


def test_a_block_above_the_limit_is_dropped_whole_and_the_next_one_given() -> None:
    big = b"data: " + b"x" * 100 + b"\n\n"
    for pieces in ([big, b"data: 1\n\n"], cut(big + b"data: 1\n\n", range(1, 200)), [big + b"data: 1\n\n"]):
        events, parser = parse(pieces, limit=50)
        assert events == [(b"message", b"1")]
        assert parser.oversized == 1


def test_a_block_of_just_the_limit_is_given_however_it_is_cut() -> None:
    stream = b"\n\n\ndata: 123\n\n\n"
    for limit, expected in ((9, [(b"message", b"123")]), (8, [])):
        for pieces in ([stream], cut(stream, range(1, 20)), *(cut(stream, [point]) for point in range(1, 15))):
            events, parser = parse(pieces, limit=limit)
            assert events == expected
            assert parser.oversized == (not expected)


def test_a_block_that_never_ends_is_not_held() -> None:
    parser = SSEParser(limit=1 << 20)
    piece = b"x" * (1 << 16)
    tracemalloc.start()
    try:
        for _ in range(512):
            assert parser.feed(piece) == []
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert parser.finish() == []
    assert parser.oversized == 1


class _Counting(SSEParser):
    """Counts the bytes it lays aside: a parser that joins what it holds again and again lays them aside anew."""

    laid_aside = 0

    def _hold(self, data: bytes) -> None:
        self.laid_aside += len(data)
        super()._hold(data)


def test_one_event_of_20_mb_in_small_pieces_takes_linear_work() -> None:
    stream = b'data: {"b64":"' + b"QUJD" * (5 << 20) + b'"}\n\n'
    parser = _Counting()
    size = 16 * 1024
    events = [event for start in range(0, len(stream), size) for event in parser.feed(stream[start : start + size])]
    assert events == [(b"message", stream[6:-2])]
    assert parser.laid_aside <= len(stream)
