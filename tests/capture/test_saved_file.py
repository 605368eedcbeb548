"""A file of saved traffic, as bytes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.saved_file import SavedFile


class Trickle(io.BytesIO):
    """Gives at most three bytes at a time, as a pipe may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(3, size) if size is not None and size >= 0 else 3)


@given(st.binary(max_size=60), st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=15))
def test_peeking_takes_nothing_and_reading_gives_every_byte_once(data: bytes, steps: list[tuple[bool, int]]) -> None:
    for raw in (io.BytesIO(data), Trickle(data)):
        file = SavedFile(raw)
        taken = b""
        for peek, size in steps:
            if peek:
                assert file.peek(size) == data[len(taken) :][:size]
            else:
                taken += file.read(size)
            assert file.position == len(taken)
        assert taken + file.read(1000) == data


def test_no_memory_is_given_for_what_a_file_only_claims_to_hold() -> None:
    assert SavedFile(io.BytesIO(b"abc")).read(999_999_999_999) == b"abc"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"12:", "flows"),
        (b'{"log"', "har"),
        (b"\xef\xbb\xbf \r\n\t{", "har"),
        (b"", "empty"),
        (b" \n", "empty"),
        (b"hello", None),
        (b"[1]", None),
        (b"\x1f\x8b", None),
    ],
)
def test_the_first_bytes_say_what_it_is(start: bytes, kind: str | None) -> None:
    file = SavedFile(Trickle(start))
    assert file.kind() == kind
    assert file.read(100) == start
