"""JSON lines."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.wire.lines import LineParser
from tests.capture.making import cut, cuts

streams = st.lists(st.sampled_from([b'{"a":1}', b"", b" ", b"\r", b"\n", b'{"b":"\xc3\xa9"}\r', b"\xff"]), max_size=20)


def parse(pieces: list[bytes], limit: int = 1000) -> tuple[list[bytes], LineParser]:
    parser = LineParser(limit=limit)
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.finish()
    assert all(kind == b"line" for kind, _ in events)
    return [line for _, line in events], parser


@given(st.data(), streams, st.booleans())
def test_any_split_gives_the_lines_that_are_not_blank(data: st.DataObject, lines: list[bytes], ended: bool) -> None:
    stream = b"\n".join(lines) + b"\n" * ended
    found, _ = parse(cut(stream, data.draw(cuts(len(stream)))))
    assert found == [line.strip() for line in stream.split(b"\n") if line.strip()]


@given(st.data(), streams, st.integers(0, 10))
def test_any_split_drops_the_same_lines_that_are_too_large(data: st.DataObject, lines: list[bytes], limit: int) -> None:
    stream = b"\n".join(lines)
    found, parser = parse(cut(stream, data.draw(cuts(len(stream)))), limit)
    assert found == [line.strip() for line in stream.split(b"\n") if line.strip() and len(line) <= limit]
    assert parser.oversized == sum(len(line) > limit for line in stream.split(b"\n"))


def test_an_event_is_given_with_the_newline_that_ends_it() -> None:
    parser = LineParser()
    assert parser.feed(b'{"a":') == []
    assert parser.feed(b'1}\n{"b"') == [(b"line", b'{"a":1}')]


def test_lines_that_start_so_are_skipped() -> None:
    parser = LineParser()
    parser.skip = (b'{"no',)
    assert parser.feed(b'{"no":1}\n{"yes":1}\n') == [(b"line", b'{"yes":1}')]


def test_no_more_is_held_than_one_line() -> None:
    parser = LineParser(limit=4096)
    tracemalloc.start()
    try:
        for _ in range(2000):
            parser.feed(b"x" * 1000)
        parser.feed(b'\n{"a":1}')
        assert tracemalloc.get_traced_memory()[1] < 50_000
    finally:
        tracemalloc.stop()
    assert parser.finish() == [(b"line", b'{"a":1}')]
    assert parser.oversized == 1
