"""The first page and the usage tell the same sums as the command line, and what is missing from them."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from aitap.export import human
from aitap.storage.database import open_database
from aitap.storage.queries import Filter
from aitap.storage.usage import usage
from tests.server.conftest import Serve
from tests.server.pages.conftest import Arrive, Visitor


@pytest.fixture
def total(local: Visitor) -> dict[str, Any]:
    with local.site.database() as database:
        return usage(database, Filter(), ())[1]


def test_the_sums_of_all_time_are_those_of_usage(local: Visitor, total: dict[str, Any]) -> None:
    page = local.get("/?days=all")
    for told in (human.money(total["cost_micros"]), human.count(total["interceptions"]), human.count(total["errors"])):
        assert f">{told}<" in re.sub(r"\s+", "", page)
    rows = page.partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")[:-1]
    requests = [re.findall(r'<td class="n">([^<]*)</td>', row)[-3] for row in rows]
    assert sum(int(text.replace(",", "")) for text in requests) == total["interceptions"]


@pytest.mark.parametrize("days", ["7", "30", "365", "all"])
def test_every_chart_has_its_numbers_in_words(local: Visitor, days: str) -> None:
    page = local.get("/", days=days)
    assert len(re.findall(r'<svg viewBox="0 0 660 180" role="img" aria-label="[^"]+"', page)) == 4
    spans = len(re.findall(r'<g class="column">', page)) / 4
    assert spans == {"7": 7, "30": 30}.get(days, spans)
    assert "The same as a table" in page


def test_leaders_lead_to_their_sessions(local: Visitor) -> None:
    links = local.links("/?days=all", "/sessions?")
    assert {"/sessions?client=Codex", "/sessions?initiator=ann", "/sessions?model=gpt-5-mini"} <= set(links)
    for link in links:
        local.get(link)


@pytest.mark.parametrize("by", ["model", "user", "day", "week", "credential_kind"])
def test_usage_is_told_by_anything(local: Visitor, by: str, total: dict[str, Any]) -> None:
    page = local.get("/usage", by=by, then="client", days="all")
    assert f">{total['interceptions']:,}</td>" in page.partition("<tfoot>")[2]


def test_what_nobody_knows_the_cost_of_is_told_with_the_reason(filled: str, serve: Serve, arrive: Arrive) -> None:
    visitor = arrive(serve())
    assert "The spend is more than that" in visitor.get("/")
    [link] = [one for one in visitor.links("/", "/usage") if "unpriced" in one]
    page = html.unescape(visitor.get(link.partition("#")[0]))
    assert 'id="unpriced"' in page
    assert "Llama-3.3-70B" in page


def test_nothing_recorded_yet_is_told_so(url: str, serve: Serve, arrive: Arrive) -> None:
    open_database(url, migrate=True).close()
    visitor = arrive(serve())
    for path, words in (("/", "Nothing was recorded"), ("/sessions", "aitap run"), ("/usage", "Nothing was used")):
        assert words in visitor.get(path)
    assert "No host" in visitor.get("/hosts")
