"""Budgets in real proxies: what several of them spent counts together, and who is over is refused by each."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from aitap.access.identity import local_user
from aitap.storage.budgets import set_budget
from aitap.storage.database import open_database
from tests.proxy.client import ANTHROPIC, OPENAI, exchange
from tests.proxy.mitmdump import Mitmdump, aitap, until
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import CHAT, MESSAGES, ask_chat, ask_messages, message_json


def test_a_budget_that_is_used_up_is_refused_by_every_proxy_on_the_database(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set while a proxy runs, used up by it, refused by it and by one that starts later; told in the log once."""
    monkeypatch.setenv("AITAP_BUDGETS", "enforce")
    first = start_proxy()
    database = open_database(first.database_url)
    budget = set_budget(database, "user", local_user()[0], period="month", unit="tokens", amount=10)
    database.close()

    def refused() -> bytes | None:
        upstream.serve(answer(message_json("msg_1", text="Hi")))
        status, body = exchange(first, ANTHROPIC, MESSAGES, ask_messages("Say hi", stream=True))
        assert status in (200, 403)
        return body if status == 403 else None

    body = json.loads(until(refused, "a refusal", 60))
    upstream.forget()
    assert body["error"]["type"] == "permission_error"
    assert body["error"]["message"].startswith("AI budget of 10 tokens exceeded. Please contact an administrator")
    denied = until(lambda: [one for one in first.all_records() if one["status_code"] == 403], "the record of it")[0]
    assert (denied["outcome"], denied["error_type"]) == ("failed", "unauthorized")
    assert denied["metadata"]["policy"] == {"action": "deny", "rule": 0, "mode": "enforce", "budget": budget.id}

    second = start_proxy()
    status, said = exchange(second, OPENAI, CHAT, ask_chat("Say hi"))
    assert (status, json.loads(said)["error"]["code"]) == (403, "budget_exceeded")
    assert upstream.exchanges == []
    line = "(10 tokens a month) is used up"
    assert (first.log.read_text().count(line), first.said().count("a budget that is used up refuses")) == (1, 2)

    [told] = json.loads(aitap("budgets", "--json", AITAP_DATABASE_URL=first.database_url).stdout)
    assert (told["name"], told["state"]) == (local_user()[1], "spent")
    assert told["spent"] >= 10
