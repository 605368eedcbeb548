"""A JSON array is cut into its elements, however its bytes are cut."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.wire.jsonarray import JSONArrayParser

AWKWARD = b'[{"a":"\\\\"},{"b":"\\"}],{["},["\\u005d\\\\\\""],{"c":{"d":[{}]}}]'
ELEMENTS = [b'{"a":"\\\\"}', b'{"b":"\\"}],{["}', b'["\\u005d\\\\\\""]', b'{"c":{"d":[{}]}}']

texts = st.text(st.sampled_from('ab"\\[]{},:\n\u00e9\U0001f600'), max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    texts | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
elements = st.dictionaries(texts, values, max_size=3) | st.lists(values, max_size=3)


def parse(pieces: list[bytes], parser: JSONArrayParser | None = None) -> list[bytes]:
    """The elements; each must be an event of the type for it."""
    parser = parser or JSONArrayParser()
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.finish()
    assert all(kind == b"element" for kind, _ in events)
    return [element for _, element in events]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The same bytes in pieces."""
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(borders)]


@given(
    st.lists(elements, max_size=4),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.sampled_from([b",", b"\n,\r\n"]),
    st.lists(st.integers(0, 4000), max_size=12),
)
def test_any_split_gives_the_elements_exactly_as_sent(
    given_elements: list[Any], indent: int | None, ascii_only: bool, comma: bytes, places: list[int]
) -> None:
    wire = [json.dumps(element, indent=indent, ensure_ascii=ascii_only).encode() for element in given_elements]

    assert parse(cut(b"\n[" + comma.join(wire) + b"\n]\n", places)) == wire


@pytest.mark.parametrize("place", range(len(AWKWARD) + 1))
def test_quotes_escapes_and_brackets_in_strings_end_nothing(place: int) -> None:
    assert parse([AWKWARD[:place], AWKWARD[place:]]) == ELEMENTS


def test_an_element_is_given_with_its_last_byte() -> None:
    parser = JSONArrayParser()
    assert parser.feed(b'[{"a":1') == []
    assert parser.feed(b"}") == [(b"element", b'{"a":1}')]
    assert parser.feed(b',{"b"') == []


def test_a_lone_object_counts_as_an_array_of_one() -> None:
    assert parse([b' {"a": [1, ', b"{}]} \n"]) == [b'{"a": [1, {}]}']


def test_what_is_no_object_or_array_is_passed_over() -> None:
    assert parse([b'[1, "[{", null, {}, tr', b"ue, []]"]) == [b"{}", b"[]"]


def test_a_cut_element_is_not_given_and_the_end_is_missed() -> None:
    parser = JSONArrayParser()
    assert parse([b'[{"a":1},{"b":"x'], parser) == [b'{"a":1}']
    assert parser.problem == "the JSON array ended before its last element"


def test_a_whole_array_has_no_problem() -> None:
    parser = JSONArrayParser()
    assert parse([b"[]"], parser) == []
    assert parser.problem is None


def test_an_element_above_the_limit_is_dropped_whole_and_counted() -> None:
    parser = JSONArrayParser(limit=20)
    long = b'{"a":"' + b"x" * 30 + b'"}'
    assert parse(cut(b'[{"a":1},' + long + b',{"b":2}]', [12, 17, 30]), parser) == [b'{"a":1}', b'{"b":2}']
    assert parser.oversized == 1


def test_what_is_held_of_an_oversized_element_is_bounded() -> None:
    parser = JSONArrayParser(limit=1000)
    parser.feed(b'[{"a":"')
    for _ in range(1000):
        parser.feed(b"x" * 500)
    assert sum(map(len, parser._parts)) <= 1000


def test_an_element_of_megabytes_arrives_whole_in_small_pieces() -> None:
    element = b'{"data":"' + b'\\"[{x' * 400_000 + b'"}'
    wire = b"[" + element + b"]"
    assert parse([wire[start : start + 1021] for start in range(0, len(wire), 1021)]) == [element]


def test_skipped_elements_are_not_given() -> None:
    parser = JSONArrayParser()
    parser.skip = (b'{"a"',)
    assert parse([b'[{"a":1},{"b":2}]'], parser) == [b'{"b":2}']


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_garbage_gives_the_same_for_every_split_and_never_raises(data: bytes, places: list[int]) -> None:
    assert parse(cut(data, places)) == parse([data])


@given(st.lists(elements, max_size=4), st.lists(elements, max_size=3), st.lists(st.integers(0, 500), max_size=6))
def test_where_the_array_closes_is_told(inside: list[Any], after: list[Any], places: list[int]) -> None:
    data = json.dumps(inside).encode() + b', "more": ' + json.dumps(after).encode() + b"}"
    parser = JSONArrayParser()
    found = 0
    for piece in cut(data, places):
        events = parser.feed(piece)
        found += len(events[: parser.closed])
        if parser.closed is not None:
            break
    assert found == len(inside)
    assert parser.closed is not None
