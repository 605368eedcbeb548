"""A bounded memory keeps what was used last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aitap.storage.recent import Recent


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30))), st.integers(1, 8))
def test_it_keeps_the_last_used_keys_with_their_values_and_is_bounded(
    steps: list[tuple[bool, int]], limit: int
) -> None:
    recent: Recent[int, str] = Recent(limit)
    used: list[int] = []
    for put, key in steps:
        if put:
            recent[key] = str(key)
        if recent.get(key) is not None:
            assert recent.get(key) == str(key)
            used = [key, *(other for other in used if other != key)]
        assert len(recent) == min(limit, len(used))
    for key in used[:limit]:
        assert recent.get(key) == str(key)
