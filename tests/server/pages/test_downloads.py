"""Downloads hold what the page shows, all of it."""

from __future__ import annotations

import csv
import io
import json
from urllib.parse import unquote_plus

import pytest

from tests.server.pages import company
from tests.server.pages.conftest import Visitor
from tests.server.pages.test_session_list import pages


@pytest.mark.parametrize("portion", [3, 500])
@pytest.mark.parametrize("query", ["", "?client=Codex", "?text=test&sort=cost", "?initiator=nobody-here"])
def test_a_download_has_the_sessions_of_the_list_in_its_order(
    local: Visitor, monkeypatch: pytest.MonkeyPatch, query: str, portion: int
) -> None:
    monkeypatch.setattr("aitap.server.pages.downloads._PORTION", portion)
    if "nobody" in query:
        assert local.http.get(f"/sessions.csv{query}").status_code == 400
        return
    shown = pages(local, f"/sessions{query}")
    lines = local.http.get(f"/sessions.jsonl{query}")
    found = [json.loads(line) for line in lines.text.splitlines()]
    assert [f"id={one['id']}&of={one['initiator']['id']}" for one in found] == [
        unquote_plus(one.partition("?")[2]) for one in shown
    ]
    table = list(csv.DictReader(io.StringIO(local.http.get(f"/sessions.csv{query}").text)))
    assert [row["id"] for row in table] == [one["id"] for one in found]
    assert lines.headers["content-disposition"] == 'attachment; filename="sessions.jsonl"'


def test_an_interception_is_downloaded_whole(local: Visitor) -> None:
    [step] = local.links(f"/session?id={company.NIGHT}", "/interception/")[:1]
    record = local.http.get(f"{step}/record.json").json()
    assert step.endswith(record["id"])
    assert record["messages"][-1]["role"] == "assistant"
    assert local.http.get("/interception/../../etc/passwd/record.json").status_code == 404
    assert local.http.get("/interception/x/record.json").status_code == 404


def test_usage_is_downloaded_as_the_page_tells_it(local: Visitor) -> None:
    table = list(csv.DictReader(io.StringIO(local.http.get("/usage.csv?by=client&days=all").text)))
    assert {row["client"] for row in table} == {"Claude Code", "Codex", "Gemini CLI"}
    assert sum(int(row["interceptions"]) for row in table) > 300
