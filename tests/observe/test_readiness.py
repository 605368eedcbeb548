"""What whoever asks is told of the database's trouble."""

from __future__ import annotations

import pytest

from aitap.observe.readiness import told_to_strangers

REFUSED = 'connection failed: connection to server at "10.1.2.3", port 5432 failed: Connection refused'


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ("database is locked", "database is locked"),
        (REFUSED, "it cannot be reached"),
        ('password authentication failed for user "aitap"', "it does not let us in"),
        ("could not extend file base/16384/2619: No space left on device", "no room is left"),
        ('something new about "db.example.com"', "see the log of the proxy"),
    ],
)
def test_no_name_of_host_user_or_file_is_told(why: str, told: str) -> None:
    found = told_to_strangers(f"the database does not take records: {why}")
    assert found.startswith(f"the database does not take records: {told}")
    assert not any(name in found for name in ("10.1.2.3", "aitap", "base/", "example"))


def test_whether_there_is_a_spool_is_told() -> None:
    what = "the database does not take records"
    assert (
        told_to_strangers(f"{what}: {REFUSED}; there is no spool") == f"{what}: it cannot be reached; there is no spool"
    )
    full = told_to_strangers(f"{what}: {REFUSED}; /var/lib/spool: No space left on device")
    assert full == f"{what}: it cannot be reached; nor does the spool: no room is left"


def test_what_names_nothing_is_told_as_it_is() -> None:
    assert told_to_strangers("") == ""
    assert told_to_strangers("the writer does not run") == "the writer does not run"
