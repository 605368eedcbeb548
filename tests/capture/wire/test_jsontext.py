"""JSON as it is really sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aitap.capture.wire.jsontext import (
    NotJSONError,
    as_dict,
    as_int,
    as_list,
    as_str,
    decode,
    flat_numbers,
    raw_items,
    raw_text,
    split,
    value_of,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


class _Shape(msgspec.Struct):
    name: str = "default"
    count: int = 0
    items: list[str] = []
    rest: msgspec.Raw = msgspec.Raw(b"")


_shape = msgspec.json.Decoder(_Shape)


@given(values)
def test_a_value_comes_back_as_it_was_written(value: Any) -> None:
    assert decode(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (rb'"\ud83d"', "?"),
        (rb'{"a": ["\udc00", {"\ud800": 1}]}', {"a": ["?", {"?": 1}]}),
        (b'"\xff"', "\ufffd"),
        (b'{"a": "\xc3("}', {"a": "\ufffd("}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (rb'"\ud83d\ude00"', "\U0001f600"),
    ],
)
def test_broken_text_is_mended(data: bytes, value: Any) -> None:
    assert decode(data) == value


@pytest.mark.parametrize(
    "data", [b"", b"{", b"nil", b'{"a": }', b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000 + b"x"]
)
def test_what_is_no_json_is_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(NotJSONError):
        decode(data)


@given(st.binary())
@example(b"NaN")
@example(b"[-Infinity, 1e999]")
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    value_of(data)
    raw_items(data)
    split(data, _shape)
    try:
        value = decode(data)
    except NotJSONError:
        return
    assert isinstance(value, str | int | float | list | dict | None)


@given(values)
def test_all_text_of_a_value_can_be_stored(value: Any) -> None:
    escaped = json.dumps([value, "\ud800"]).encode()
    json.dumps(decode(escaped), ensure_ascii=False).encode()  # no lone surrogate is left


def test_split_gives_the_members_the_struct_names() -> None:
    shape = split(b'{"name": "n", "other": {"deep": [1]}, "count": 3, "rest": {"b":  1}}', _shape)
    assert shape == _Shape(name="n", count=3, rest=msgspec.Raw(b'{"b":  1}'))


def test_a_member_of_the_wrong_type_keeps_its_default_and_costs_no_other() -> None:
    shape = split(b'{"name": 5, "count": 3, "items": ["a", 1]}', _shape)
    assert (shape.name, shape.count, shape.items) == ("default", 3, [])


class _Inner(msgspec.Struct):
    index: int = 0
    reason: str | None = None


class _Outer(msgspec.Struct):
    several: list[_Inner] | None = None
    one: _Inner | None = None


@pytest.mark.parametrize("odd", [b'"0"', b"null", b"{}", b"[]", b"1.5", b"true"])
def test_a_member_of_the_wrong_type_deep_inside_costs_only_itself(odd: bytes) -> None:
    data = b'{"several": [{"index": %b, "reason": "stop"}, 5, {"index": 2}], "one": {"index": %b, "reason": "x"}}'
    found = split(data % (odd, odd), msgspec.json.Decoder(_Outer))
    assert found == _Outer([_Inner(0, "stop"), _Inner(2)], _Inner(0, "x"))


def test_a_member_with_broken_text_costs_no_other() -> None:
    shape = split(b'{"name": "\\ud800", "count": 3, "items": ["\xff"]}', _shape)
    assert (shape.name, shape.count, shape.items) == ("?", 3, ["\ufffd"])


@pytest.mark.parametrize("data", [b"", b"[]", b'"text"', b"null", b"{", b"1" * 5000])
def test_split_of_what_is_no_object_is_none(data: bytes) -> None:
    assert split(data, _shape) is None


def test_raw_items_are_the_exact_text_of_the_elements() -> None:
    assert [raw_text(item) for item in raw_items(b'[ {"a":  1.50}, "x" ,null]')] == ['{"a":  1.50}', '"x"', "null"]


@pytest.mark.parametrize("data", [b"", b"{}", b'"x"', b"[", b"null"])
def test_raw_items_of_what_is_no_array_are_none(data: bytes) -> None:
    assert raw_items(data) == []


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (7, 7),
        (7.0, 7),
        (2**40 - 1, 2**40 - 1),
        (2**40, None),
        (-1, None),
        (7.5, None),
        (True, None),
        ("7", None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        ([], None),
    ],
)
def test_a_count_is_a_whole_number_that_fits_a_column(value: Any, count: int | None) -> None:
    assert as_int(value) == count


def test_what_is_not_of_the_asked_kind_is_empty() -> None:
    assert (as_dict([1]), as_list({"a": 1}), as_str(1)) == ({}, [], None)
    assert (as_dict({"a": 1}), as_list([1]), as_str("a")) == ({"a": 1}, [1], "a")


def test_flat_numbers_are_the_numeric_leaves_by_their_path() -> None:
    value = {"a": 1, "b": {"c": 2.5, "d": {"e": 3}}, "f": "4", "g": None, "h": True, "i": [5], "j": 2**64}
    assert flat_numbers(value) == {"a": 1, "b.c": 2.5, "b.d.e": 3}
    assert flat_numbers([1]) == {}


def test_flat_numbers_go_no_deeper_than_anybody_nests() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = {"a": value, "n": 1}
    assert list(flat_numbers(value)) == [f"{'a.' * level}n" for level in reversed(range(8))]
