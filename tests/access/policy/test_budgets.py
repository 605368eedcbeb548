"""Who has used up a budget gets no further, where that is enforced; and nobody else notices."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import ctx, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons, tflow
from mitmproxy.websocket import WebSocketMessage
from peewee import Database
from wsproto.frame_protocol import Opcode

from aitap.access.authentication.directory import Directory
from aitap.access.identity import Identity
from aitap.access.peers import Peers
from aitap.access.policy import budgets as following
from aitap.access.policy.budgets import Budgets, told_amount
from aitap.access.policy.decisions import ALLOWED, POLICY, Call, Decision
from aitap.access.policy.policy import Policy
from aitap.access.policy.policy_rows import PolicyRow
from aitap.access.startup import Startup
from aitap.capture.routes import Router
from aitap.settings import BudgetsMode, PolicyMode, load
from aitap.storage.budgets import BudgetMode, set_budget
from aitap.storage.groups import add_group, join
from aitap.storage.users import add_user, ensure_user
from tests.storage.making import ANN, BEN, T0, Recording, database_in, eventually, interception, tokens

DAY = 86400.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = database_in(tmp_path)
    add_user(found, ANN, "ann")
    add_user(found, BEN, "ben")
    yield found
    found.close()


@pytest.fixture
def recording(database: Database) -> Iterator[Recording]:
    found = Recording(database)
    yield found
    found.writer.close()


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> float:
        return self.now


def look(budgets: Budgets, database: Database) -> Budgets:
    """Have it read the database now."""
    budgets._next = 0.0
    if (take := budgets.poll(database)) is not None:
        take()
    return budgets


def asked(budgets: Budgets, user_id: str) -> Decision:
    return budgets.decide(
        Call(user="", user_id=user_id, client=None, provider="p", provider_name="p", host="h", models=None)
    )


def spend(recording: Recording, micros: int, who: str = ANN, at: float = T0, **fields: Any) -> None:
    recording.batch(interception(at, initiator_id=who, token_usages=[tokens(cost_micros=micros)], **fields))


def limit(database: Database, amount: int = 100, mode: BudgetMode = "", **how: Any) -> str:
    how = {"kind": "user", "subject_id": ANN, "period": "day", "unit": "usd"} | how
    return set_budget(database, amount=amount, mode=mode, **how).id


def test_without_budgets_nothing_is_looked_at(database: Database) -> None:
    budgets = look(Budgets("enforce"), database)
    assert (budgets.idle, budgets.enforced, budgets.ratios) == (True, False, {})


@pytest.mark.parametrize(
    ("setting", "own", "enforced"),
    [
        ("warn", "", False),
        ("warn", "warn", False),
        ("warn", "enforce", True),
        ("enforce", "", True),
        ("enforce", "warn", False),
        ("enforce", "enforce", True),
    ],
)
def test_a_budget_that_says_it_itself_is_asked_before_the_setting(
    recording: Recording, setting: BudgetsMode, own: BudgetMode, enforced: bool
) -> None:
    budget = limit(recording.database, mode=own)
    spend(recording, 100)
    budgets = look(Budgets(setting, Clock()), recording.database)
    decision = asked(budgets, ANN)
    assert (decision.allowed, decision.enforced, decision.budget) == (False, enforced, budget)
    assert (budgets.idle, budgets.enforced) == (False, enforced)
    assert asked(budgets, BEN) == ALLOWED
    assert decision.message == (
        "AI budget of US$0.0001 exceeded. Please contact an administrator for more details. "
        "The next day begins on 2026-11-19 (UTC)."
    )


@pytest.mark.parametrize(
    ("how", "stopped"),
    [
        ({}, {ANN}),
        ({"kind": "group", "subject_id": "interns"}, {ANN, BEN}),
        ({"kind": "group", "subject_id": "interns", "each": True}, {ANN}),
        ({"kind": "everybody", "subject_id": ""}, {ANN, BEN, "stranger"}),
        ({"kind": "everybody", "subject_id": "", "each": True}, {ANN}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_budget_stops_those_whose_it_is(recording: Recording, how: dict[str, Any], stopped: set[str]) -> None:
    database = recording.database
    group = add_group(database, "interns")["id"]
    join(database, group, [ANN, BEN])
    limit(database, **(how | ({"subject_id": group} if how.get("kind") == "group" else {})))
    spend(recording, 99)
    spend(recording, 0, BEN)
    budgets = look(Budgets("enforce", Clock()), database)
    assert budgets.idle
    spend(recording, 1)
    look(budgets, database)
    assert {who for who in (ANN, BEN, "stranger") if not asked(budgets, who).allowed} == stopped


def test_a_milder_budget_of_ones_own_does_not_lift_that_of_everybody(recording: Recording) -> None:
    limit(recording.database, mode="warn")
    limit(recording.database, kind="everybody", subject_id="", mode="enforce")
    spend(recording, 100)
    budgets = look(Budgets("warn", Clock()), recording.database)
    assert [asked(budgets, who).enforced for who in (ANN, BEN)] == [True, True]


def test_what_nobody_knows_the_cost_of_stops_nobody(recording: Recording) -> None:
    limit(recording.database, 1)
    recording.batch(interception(), interception(token_usages=[tokens()]))
    spend(recording, 500, credential_kind="byok_subscription")
    assert look(Budgets("enforce", Clock()), recording.database).idle


def test_when_the_period_is_over_the_budget_is_whole_again_also_while_the_database_is_away(
    recording: Recording,
) -> None:
    clock = Clock()
    limit(recording.database)
    spend(recording, 100)
    budgets = look(Budgets("enforce", clock), recording.database)
    assert not asked(budgets, ANN).allowed
    clock.now = (T0 // DAY + 1) * DAY - 1
    assert not asked(budgets, ANN).allowed
    clock.now += 1
    assert asked(budgets, ANN).allowed


def test_what_is_said_of_budgets_later_holds_at_the_next_look(recording: Recording) -> None:
    database = recording.database
    spend(recording, 100)
    budgets = look(Budgets("enforce", Clock()), database)
    assert budgets.idle
    limit(database)
    assert not look(budgets, database).idle
    limit(database, 200)
    assert look(budgets, database).idle
    group = add_group(database, "interns")["id"]
    limit(database, kind="group", subject_id=group)
    assert look(budgets, database).idle
    join(database, group, [ANN])
    assert not asked(look(budgets, database), ANN).allowed


def test_thresholds_are_told_in_a_line_each(recording: Recording, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "aitap.access.policy.budgets")
    database = recording.database
    limit(database, 10_000_000, kind="everybody", subject_id="", each=True, period="month")
    group = add_group(database, "interns")["id"]
    join(database, group, [ANN])
    limit(database, 12, kind="group", subject_id=group, period="week", unit="tokens", mode="enforce")
    spend(recording, 8_600_000)
    budgets = look(Budgets("warn", Clock()), database)
    for _ in range(3):
        look(budgets, database)
    assert sorted(caplog.messages) == [
        "aitap: 85 % of the budget of ann, one of everybody (US$10.00 a month) is used up: US$8.60",
        (
            "aitap: the budget of group interns (12 tokens a week) is used up: 15 tokens; "
            "calls are refused until 2026-11-23"
        ),
    ]
    spend(recording, 2_000_000)
    look(budgets, database)
    assert caplog.messages[2:] == [
        (
            "aitap: the budget of ann, one of everybody (US$10.00 a month) is used up: US$10.60; "
            "calls go on until 2026-12-01"
        )
    ]


def test_the_metrics_have_how_much_is_used_up(recording: Recording) -> None:
    limit(recording.database, 200)
    limit(recording.database, 400, kind="everybody", subject_id="", each=True)
    spend(recording, 100)
    spend(recording, 300, BEN)
    assert look(Budgets("warn", Clock()), recording.database).ratios == {
        ("user", "ann", "day", "usd"): 0.5,
        ("everybody", "everybody", "day", "usd"): 0.75,
    }


def test_it_looks_less_often_where_that_takes_long(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(following.time, "monotonic", lambda: now[0])
    looks: list[float] = []

    def read(*_: Any) -> dict[str, Any]:
        looks.append(now[0])
        now[0] += 0.5
        return {"day": {}}

    limit(database)
    monkeypatch.setattr(following, "read_spending", read)
    budgets = Budgets("warn", Clock())
    for _ in range(200):
        budgets.poll(database)
        now[0] += 0.1
    assert looks[:2] == pytest.approx([100.0, 105.0], abs=0.2)


# As part of the policy


@pytest.fixture
def peers() -> Iterator[Peers]:
    with taddons.context(Proxyserver()):
        yield Peers()


def flow(host: str = "api.anthropic.com", path: str = "/v1/messages") -> http.HTTPFlow:
    made = tflow.tflow()
    made.request = http.Request.make("POST", f"https://{host}{path}", json.dumps({"model": "claude", "messages": []}))
    return made


def run(policy: Policy, made: http.HTTPFlow) -> http.Response | None:
    async def hooks() -> None:
        policy.requestheaders(made)
        if (waits := policy.request(made)) is not None:
            await waits

    asyncio.run(hooks())
    return made.response


class Following:
    """In the place of the directory: looks once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def follow(self, budgets: Budgets) -> None:
        budgets._clock = Clock()
        look(budgets, self._database)


def started(
    peers: Peers, database: Database, budgets: BudgetsMode, policy: PolicyMode = "off", *rules: PolicyRow
) -> Policy:
    found = Policy(peers)
    settings = dataclasses.replace(load(environ={}), budgets=budgets, policy=policy, rules=rules)
    found.start(Startup(settings, Router(), None, Following(database), None, None))  # type: ignore[arg-type]
    return found


def by(peers: Peers, user_id: str, made: http.HTTPFlow) -> http.HTTPFlow:
    peers.of(made.client_conn).identity = Identity(user_id, "x", None)
    return made


def test_a_refused_call_is_counted_and_noted(recording: Recording, peers: Peers) -> None:
    budget = limit(recording.database)
    spend(recording, 100)
    policy = started(peers, recording.database, "enforce")
    made = by(peers, ANN, flow("api.openai.com", "/v1/chat/completions"))
    answer = run(policy, made)
    assert answer is not None
    assert (answer.status_code, answer.headers["x-aitap-policy"]) == (403, "budget")
    assert answer.json()["error"]["code"] == "budget_exceeded"
    assert made.metadata[POLICY] == {"action": "deny", "rule": 0, "mode": "enforce", "budget": budget}
    assert policy.refusals == {"budget": 1}
    assert run(policy, by(peers, BEN, flow())) is None


def test_what_only_warns_is_noted_and_goes_on(recording: Recording, peers: Peers) -> None:
    budget = limit(recording.database)
    spend(recording, 100)
    policy = started(peers, recording.database, "warn")
    made = by(peers, ANN, flow())
    assert run(policy, made) is None
    assert made.metadata[POLICY] == {"action": "deny", "rule": 0, "mode": "warn", "budget": budget}
    assert (policy.warnings, policy.refusals) == ({"budget": 1}, {})


def test_switched_off_budgets_do_nothing(recording: Recording, peers: Peers) -> None:
    limit(recording.database, mode="enforce")
    spend(recording, 100)
    assert run(started(peers, recording.database, "off"), by(peers, ANN, flow())) is None


def test_rules_that_warn_do_not_keep_a_budget_from_refusing(recording: Recording, peers: Peers) -> None:
    limit(recording.database)
    spend(recording, 100)
    policy = started(peers, recording.database, "enforce", "warn", PolicyRow("deny", models=("claude*",)))
    answer = run(policy, by(peers, ANN, flow()))
    assert answer is not None
    assert answer.headers["x-aitap-policy"] == "budget"
    made = by(peers, BEN, flow())
    assert run(policy, made) is None
    assert made.metadata[POLICY] == {"action": "deny", "rule": 1, "mode": "warn"}


def test_a_request_that_would_stream_past_is_held_where_it_is_refused(recording: Recording, peers: Peers) -> None:
    limit(recording.database)
    spend(recording, 100)
    policy = started(peers, recording.database, "enforce")
    for who, streams in ((ANN, False), (BEN, True)):
        made = by(peers, who, flow())
        made.request.stream = True
        policy.requestheaders(made)
        assert made.request.stream is streams


def test_a_socket_that_was_opened_in_time_is_refused_what_it_asks_later(
    recording: Recording, peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said on it beside asking for responses goes on; so does all of it where money is left."""
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(
        ctx.master.commands, "call", lambda _, flow, to_client, event, text: events.append(json.loads(event))
    )
    database = recording.database
    budget = limit(database)
    policy = started(peers, database, "enforce")
    made = by(peers, ANN, tflow.twebsocketflow(messages=False))
    made.request = http.Request.make("GET", "https://api.openai.com/v1/responses", headers={"upgrade": "websocket"})
    made.response = None
    assert run(policy, made) is None
    made.response = http.Response.make(101)

    def said(kind: str) -> bool:
        """Whether a message of the client's is let through."""
        assert made.websocket is not None
        content = json.dumps({"type": kind, "response": {}}).encode()
        made.websocket.messages.append(WebSocketMessage(Opcode.TEXT, from_client=True, content=content))
        if (waits := policy.websocket_message(made)) is not None:
            asyncio.run(waits)  # type: ignore[arg-type]
        return not made.websocket.messages[-1].dropped

    assert said("response.create")
    spend(recording, 100)
    assert policy._budgets is not None
    look(policy._budgets, database)
    assert not said("response.create")
    assert said("response.processed")
    assert [event["error"]["code"] for event in events] == ["budget_exceeded"]
    assert made.metadata[POLICY]["budget"] == budget


# In the directory's thread


def test_the_directory_asks_and_hands_over_on_the_loop(recording: Recording, tmp_path: Path) -> None:
    """The first answer is there when the proxy starts; later ones come by themselves."""
    database = recording.database
    limit(database)

    async def proxy() -> list[bool]:
        directory = Directory(f"sqlite:///{tmp_path}/aitap.db")
        directory.start()
        budgets = Budgets("enforce", Clock())
        directory.follow(budgets)
        idle = [budgets.idle]
        await asyncio.to_thread(spend, recording, 100)
        for _ in range(1000):
            if not budgets.idle:
                break
            await asyncio.sleep(0.02)
        idle.append(budgets.idle)
        directory.stop()
        return idle

    assert asyncio.run(proxy()) == [True, False]


def test_a_mistake_of_ours_in_a_look_does_not_keep_users_and_keys_from_being_followed(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        polls = 0

        def poll(self, _: Database) -> None:
            self.polls += 1
            if self.polls > 1:
                raise ZeroDivisionError

    async def proxy() -> bool:
        directory = Directory(f"sqlite:///{tmp_path}/aitap.db")
        directory.start()
        broken = Broken()
        directory.follow(broken)
        assert await asyncio.to_thread(eventually, lambda: broken.polls > 2)
        ensure_user(database, "44444444-4444-5444-8444-444444444444", "dan")
        await directory.refresh()
        directory.stop()
        return "dan" in directory.ids

    assert asyncio.run(proxy())
    assert [record.message for record in caplog.records].count("aitap: budgets are as they were: ") == 1


@pytest.mark.parametrize(
    ("amount", "told"),
    [(0, "US$0.00"), (4_200, "US$0.0042"), (10_000, "US$0.01"), (9_999, "US$0.009999"), (1_234_500_000, "US$1,234.50")],
)
def test_less_than_a_cent_is_told_as_it_is(amount: int, told: str) -> None:
    assert told_amount(amount, "usd") == told
