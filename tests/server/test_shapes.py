"""What becomes of values on their way into the reference's shapes."""

from __future__ import annotations

from typing import Any

import pytest

from aitap.server.shapes import interception, usage_sum
from aitap.storage.rows import CHILDREN


def test_metadata_is_summed_number_by_number_with_names_joined() -> None:
    """Nested keys are flattened with dots, what is no number is left out."""
    found = usage_sum([
        (1, 2, 3, 4, '{"reasoning": 5, "cache": {"ttl": {"1h": 1}}, "tier": "standard", "partial": true}'),
        (10, 20, 30, 40, '{"reasoning": 6, "cache": {"ttl": {"1h": 2}, "x": [1]}, "none": null}'),
        (0, 0, 0, 0, None),
    ])  # fmt: skip
    assert found == {
        "input_tokens": 11,
        "output_tokens": 22,
        "cache_read_input_tokens": 33,
        "cache_write_input_tokens": 44,
        "metadata": {"cache.ttl.1h": 3, "reasoning": 11},
    }


def test_a_sum_of_nothing_is_nothing() -> None:
    found = usage_sum([])
    assert found.pop("metadata") == {}
    assert set(found.values()) == {0}


@pytest.mark.parametrize(("hint", "shown"), [
    ("sk-a...x9Qw", "sk-a...x9Qw"),
    ("no dots", "..."),
    ("sk-ant-a...too-long", "..."),
    (None, ""),
])  # fmt: skip
def test_a_hint_is_shown_only_where_it_is_surely_masked(hint: str | None, shown: str) -> None:
    record: dict[str, Any] = {name: [] for name in CHILDREN}
    person = {"id": "x", "username": None, "name": None, "avatar_url": None}
    found = interception(record | {"initiator": person, "provider_name": None, "credential_hint": hint})
    assert found["credential_hint"] == shown
    assert found["initiator"] == {"id": "x", "username": "", "name": "", "avatar_url": ""}
    assert found["provider_name"] == ""
