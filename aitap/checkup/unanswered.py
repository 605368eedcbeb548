"""Providers that the last call did not get through to: their certificate was not trusted, or nobody was reached."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from aitap.checkup.finding import Finding, warning
from aitap.export.human import one_line
from aitap.storage.database import rows_of
from aitap.storage.fields import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from peewee import Database

__all__ = ["check_unanswered"]

_LAST = """
    SELECT host, outcome, status_code, error_message, started_at FROM aibridge_interceptions
    WHERE ended_at IS NOT NULL ORDER BY started_at DESC LIMIT 50
"""
_LATELY = timedelta(days=1)
_NOT_TRUSTED = "certificate verify failed"


def check_unanswered(database: Database, now: datetime) -> Iterator[Finding]:
    """A warning for each host whose newest call of the last day, among the last few calls, ended without an answer."""
    seen = set()
    for host, outcome, status, error, started in rows_of(database, _LAST):
        if host in seen or now - parse_timestamp(started) > _LATELY:
            continue
        seen.add(host)
        if outcome != "failed" or status is not None or not error:
            continue
        yield warning(
            "records.unanswered",
            f"the last call to {one_line(host, 80)} got no answer: {one_line(error, 100)}",
            "where the network inspects TLS, set upstream_ca to the file of its CA, for `aitap run`"
            if _NOT_TRUSTED in error.lower()
            else "check the way from the proxy to the internet; where it leads through another proxy, set upstream",
        )
