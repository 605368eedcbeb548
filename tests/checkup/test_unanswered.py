"""Providers that no call gets through to are told of, for as long as that is how it is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aitap.checkup.finding import Finding
from aitap.checkup.unanswered import check_unanswered
from aitap.storage.writer import Writer
from tests.checkup.making import NOW
from tests.storage.making import database_in, interception

NOT_TRUSTED = "Certificate verify failed: self-signed certificate in certificate chain"


def look(folder: Path, *calls: dict[str, Any]) -> list[Finding]:
    """What is said after these calls, the first of which was an hour ago and each next a minute later."""
    database = database_in(folder)
    writer = Writer(database, flush_interval=0.0)
    writer.start()
    for number, fields in enumerate(calls):
        ago = fields.pop("ago", timedelta(hours=1)) - timedelta(minutes=number)
        assert writer.submit(interception((NOW - ago).timestamp(), **{"status_code": 200, **fields}))
    assert writer.close()
    try:
        return list(check_unanswered(database, NOW))
    finally:
        database.close()


def failed(error: str = NOT_TRUSTED, **fields: Any) -> dict[str, Any]:
    return {"outcome": "failed", "status_code": None, "error_message": error, **fields}


@pytest.mark.parametrize(
    ("error", "advice"), [(NOT_TRUSTED, "upstream_ca"), ("Name or service not known", "the way from the proxy")]
)
def test_a_last_call_without_an_answer_is_a_warning_that_says_what_to_do(
    error: str, advice: str, tmp_path: Path
) -> None:
    (finding,) = look(tmp_path, {}, failed(error), {"host": "api.openai.com"})
    assert (finding.check, finding.status) == ("records.unanswered", "warning")
    assert f"api.anthropic.com got no answer: {error}" in finding.what
    assert advice in (finding.fix or "")


@pytest.mark.parametrize(
    "calls",
    [
        (failed(), {}),
        (failed(status_code=529),),
        (failed(ago=timedelta(days=3)),),
        ({"outcome": "cancelled", "status_code": None, "error_message": "client disconnected"},),
    ],
    ids=["answered since", "answered with an error", "long ago", "the client left"],
)
def test_what_was_answered_or_is_long_ago_is_not_told(calls: tuple[dict[str, Any], ...], tmp_path: Path) -> None:
    assert look(tmp_path, *(dict(call) for call in calls)) == []
