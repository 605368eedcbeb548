"""Header fields by lower-case name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture import headers as headers_module
from aitap.capture.headers import Headers


def test_names_are_lower_case_and_the_first_of_several_fields_counts() -> None:
    headers = Headers([(b"User-Agent", b"curl/8"), (b"X-A", b"one"), (b"x-a", b"two")])
    assert dict(headers) == {"user-agent": "curl/8", "x-a": "one"}
    assert ("x-a" in headers, "X-A" in headers, len(headers)) == (True, False, 2)
    assert (headers.get("x-b"), headers.get("x-b", "none")) == (None, "none")


@given(st.lists(st.tuples(st.binary(max_size=5), st.binary(max_size=9)), max_size=5))
def test_any_bytes_are_text(fields: list[tuple[bytes, bytes]]) -> None:
    headers = Headers(fields)
    for name in headers:
        assert headers[name] == headers.get(name)
        headers[name].encode()


def test_names_that_no_client_sends_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers_module, "_names", {})
    found = Headers([(b"X-Short", b"1"), (b"X-" + b"l" * 60_000, b"2")])
    assert (found["x-short"], found["x-" + "l" * 60_000]) == ("1", "2")
    assert list(headers_module._names) == [b"X-Short"]
