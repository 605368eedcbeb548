"""The list of sessions: what it shows, and that its address tells all of it."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from tests.server.pages import company
from tests.server.pages.conftest import Visitor


def rows(page: str) -> list[str]:
    """Addresses of the sessions on this page, in order."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [html.unescape(one) for one in re.findall(r'href="(/session\?[^"]+)"', body)]


def pages(visitor: Visitor, address: str) -> list[str]:
    found: list[str] = []
    page = visitor.get(address)
    while True:
        found += rows(page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if following is None:
            return found
        page = visitor.get(html.unescape(following[1]))


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aitap.server.pages.session_list.PAGE", 4)


def test_the_columns_of_the_reference_and_ours_are_there(local: Visitor) -> None:
    page = local.get("/sessions")
    head = re.sub(r"<[^>]+>", "|", page.partition("<thead>")[2].partition("</thead>")[0])
    for name in ("Last prompt", "User", "Client", "Provider", "Tokens in / out", "Threads", "Last active", "Cost"):
        assert name in head
    assert "great, now bump the version" in page


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("sort", ["active", "cost", "calls"])
def test_pages_go_on_through_all_sessions(local: Visitor, sort: str) -> None:
    found = pages(local, f"/sessions?sort={sort}")
    assert len(found) > 8
    assert len(found) == len(set(found))


def test_sorting_is_told_and_turned_round(local: Visitor) -> None:
    down, up = (rows(local.get("/sessions", sort="calls", order=order)) for order in ("desc", "asc"))
    assert company.LONG in down[0]
    assert company.LONG not in up[0]
    page = local.get("/sessions", sort="calls")
    assert re.search(r'aria-sort="descending"><a href="/sessions\?sort=calls&amp;order=asc"', page)


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({"client": "Codex"}, lambda page: "Claude Code</td>" not in page and "Codex</td>" in page),
        ({"initiator": "ann"}, lambda page: "ben</td>" not in page),
        ({"provider": "google"}, lambda page: "Gemini CLI</td>" in page and "Codex</td>" not in page),
        ({"model": "gemini-2.5-pro"}, lambda page: "gemini-2.5-pro" in page),
        ({"session_id": company.NIGHT}, lambda page: len(rows(page)) == 1),
        ({"from": "2020-01-01", "to": "2020-01-02"}, lambda page: rows(page) == []),
        ({"started_after": "1h"}, lambda page: 0 < len(rows(page)) < 5),
        ({"text": "verify_token"}, lambda page: len(rows(page)) == 1 and "Find every caller of verify_token" in page),
        ({"text": '"git log" oneline'}, lambda page: len(rows(page)) == 1),
        ({"text": "verify_token nowhere"}, lambda page: rows(page) == [] and "which are all" in page),
        ({"text": "verify_token", "initiator": "ben"}, lambda page: rows(page) == []),
    ],
)
def test_a_filter_finds_what_it_says(local: Visitor, query: dict[str, str], fits: Any) -> None:
    assert fits(local.get("/sessions", **query))


def test_the_address_tells_the_filter_and_the_page_keeps_it(local: Visitor) -> None:
    query = {"client": "Codex", "text": "a", "sort": "cost", "initiator": "ann", "started_after": "30d"}
    page = local.get("/sessions", **query)
    assert '<option value="Codex" selected>' in page
    assert 'name="text" value="a"' in page
    assert '<option value="30d" selected>' in page
    assert '<input type="hidden" name="sort" value="cost">' in page
    [csv] = re.findall(r'href="(/sessions\.csv[^"]*)"', page)
    assert all(f"{name}={value}" in html.unescape(csv) for name, value in query.items())


def test_a_value_that_is_chosen_is_a_choice_though_nothing_has_it(local: Visitor) -> None:
    assert '<option value="no-such-model" selected>' in local.get("/sessions", model="no-such-model")


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("cursor", ["x", "AAAA", "W10", "%00", "WyJ4IiwicyIsIngiXQ", "é", "=" * 10])
def test_a_place_that_is_none_is_told_so(local: Visitor, cursor: str) -> None:
    assert "no place in this list" in local.get(f"/sessions?after={cursor}", 400) or cursor == "%00"


@pytest.mark.parametrize(
    "query", [{"from": "yesterday"}, {"from": "2026-13-40"}, {"order": "up"}, {"started_after": "x"}]
)
def test_a_filter_that_cannot_be_is_told_so(local: Visitor, query: dict[str, str]) -> None:
    assert next(iter(query)).removeprefix("from") in local.get("/sessions", 400, **query)


def test_only_the_newest_are_followed(local: Visitor) -> None:
    assert "data-live=" in local.get("/sessions")
    assert "data-live=" not in local.get("/sessions?live=off")
    assert "data-live=" not in local.get("/sessions?text=a")
