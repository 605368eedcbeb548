"""No finding tells a password, whoever wrote its text."""

from __future__ import annotations

import pytest

from aitap.checkup.finding import ok, problem, warning


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("upstream = 'http://alice:planted@host:1' (option)", "upstream = 'http://alice:***@host:1' (option)"),
        ("postgresql://a:pl/an@ted@db/x is gone", "postgresql://a:***@db/x is gone"),
        ("http://alice:***@host:1 twice http://b:***@c", "http://alice:***@host:1 twice http://b:***@c"),
        ("http://alice@host:1", "http://alice@host:1"),
        ("see http://host:80/path, or mail a@b", "see http://host:80/path, or mail a@b"),
    ],
)
def test_a_password_in_an_address_is_masked(text: str, shown: str) -> None:
    for make in (lambda: ok("a.b", text), lambda: warning("a.b", text, "fix"), lambda: problem("a.b", text, "fix")):
        assert make().what == shown
