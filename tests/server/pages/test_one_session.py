"""A session as a time line."""

from __future__ import annotations

import re

import pytest

from tests.server.pages import company
from tests.server.pages.conftest import STEPS, Visitor

NIGHT = f"/session?id={company.NIGHT}"
LONG = f"/session?id={company.LONG}"


def test_a_session_is_told_whole(local: Visitor) -> None:
    page = local.get(NIGHT)
    for told in (
        "The login test fails since yesterday.",
        "great, now bump the version",
        "First look at the test and at what changed in auth.",
        "git log --oneline -5",
        "9c2e1f0 auth: compare times in UTC",
        "412 passed in 31.07s",
        "Explore",
        "src/web/session.py:41",
        "failed 529",
        "Overloaded",
        "I&#39;ll look at the test",
        "1 call of the client&#39;s own" if "client&#39;s own" in page else "1 call of the client's own",
    ):
        assert told in page


def test_sub_agents_stand_inside_of_the_thread_that_started_them(local: Visitor) -> None:
    page = local.get(NIGHT)
    agent, after = page.index('class="agent"'), page.index("failed 529")
    assert page.index("The token check changed yesterday") < agent < page.index("Three callers: src/web") < after


def test_a_session_of_many_steps_comes_by_pages_that_hold_each_once(
    local: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aitap.server.pages.one_session._STEPS", 500)
    found: list[str] = []
    address = LONG
    number = 0
    while True:
        page = local.get(address)
        steps = re.findall(r'class="step" id="i-([0-9a-f-]+)"', page)
        assert len(steps) <= 500
        found += steps
        following = re.search(r'data-load href="([^"]+)">Next steps', page)
        number += 1
        if following is None:
            break
        address = following[1].replace("&amp;", "&")
    assert len(found) == len(set(found)) == STEPS
    assert number == -(-STEPS // 500)


def test_the_end_of_a_long_thread_is_one_step_away(local: Visitor) -> None:
    [end] = re.findall(r'href="([^"]+)">The last ones<', local.get(LONG))
    page = local.get(end.replace("&amp;", "&"))
    assert f"file-{STEPS - 60:05}.py" in page
    assert f"file-{STEPS - 1:05}.py" in page
    assert "Next steps" not in page


def test_the_clients_own_calls_are_behind_a_link(local: Visitor) -> None:
    [link] = [one for one in local.links(NIGHT, "/session?") if "own=" in one]
    assert ">title<" in local.get(link)


def test_a_search_inside_finds_what_is_not_on_the_page(local: Visitor) -> None:
    page = local.get(LONG, find="file-01990")
    assert page.count('class="step"') == 1
    assert "file-01990.py" in page
    assert "Nothing in this session" in local.get(LONG, find="file-99999")
    assert local.get(LONG, find="srv shop").count('class="step"') == 60


def test_a_session_is_found_by_the_id_of_one_of_its_calls(local: Visitor) -> None:
    [step] = local.links(NIGHT, "/interception/")[:1]
    assert company.NIGHT in local.get("/session", id=step.rpartition("/")[2])


def test_what_is_not_there_is_told_so(local: Visitor) -> None:
    for query in ({}, {"id": "nothing"}, {"id": company.NIGHT, "of": "nobody"}, {"id": company.NIGHT, "thread": "x"}):
        assert "no such" in local.get("/session", 404, **query)
    for query in ({"after": "x"}, {"own": "1", "after": "x"}):
        assert "no such" in local.get("/session", 400, id=company.NIGHT, **query)


def test_an_interception_tells_everything(local: Visitor) -> None:
    steps = local.links(NIGHT, "/interception/")
    page = local.get(steps[0])
    for told in (
        "The login test fails",
        "First look at the test",
        "Conversation",
        "api.anthropic.com/v1/messages",
        "byok_api_key",
        "sk-a...x9Qw",
        "claude-cli/2.1.3",
        "req_0001",
        "Cost",
    ):
        assert told in page
    failed = next(page for step in steps if "failed 529" in (page := local.get(step)))
    assert "Unknown: the provider told none." in failed
    assert "Overloaded" in failed
