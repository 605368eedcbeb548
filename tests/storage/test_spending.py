"""What is used up of a budget is what a pass over all records finds, and each threshold is told once."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from peewee import Database

from aitap.storage.budget_notices import Notices
from aitap.storage.budget_status import budget_status, list_budgets
from aitap.storage.budgets import PERIODS, Budget, Unit, read_budgets, read_members, set_budget
from aitap.storage.groups import add_group, join
from aitap.storage.spending import Standing, Used, read_spending, since, standings, until
from tests.storage.making import ANN, BEN, T0, Recording, interception, rows, tokens

CAT = "33333333-3333-5333-8333-333333333333"
TODAY = date(2026, 11, 18)  # of T0, a Wednesday
DAY = 86400.0


def found(database: Database, today: date = TODAY) -> list[Standing]:
    budgets = read_budgets(database)
    spending = read_spending(database, (budget.period for budget in budgets), today)
    return list(standings(budgets, read_members(database), spending, today))


@pytest.mark.parametrize(
    ("period", "day", "begins", "ends"),
    [
        ("day", "2026-02-28", "2026-02-28", "2026-03-01"),
        ("week", "2026-11-15", "2026-11-09", "2026-11-16"),
        ("week", "2027-01-01", "2026-12-28", "2027-01-04"),
        ("month", "2026-12-31", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29", "2028-02-01", "2028-03-01"),
    ],
)
def test_periods_are_those_of_the_calendar(period: Any, day: str, begins: str, ends: str) -> None:
    assert since(period, date.fromisoformat(day)).isoformat() == begins
    assert until(period, date.fromisoformat(day)).isoformat() == ends


def test_any_budgets_agree_with_a_pass_over_all_records(recording: Recording) -> None:
    """Users, groups that overlap, everybody, each alone; dollars and tokens; subscriptions and unknown costs."""
    draw = random.Random(7)
    people = (ANN, BEN, CAT)
    records = []
    for _ in range(150):
        record = interception(
            T0 + draw.randrange(-40, 20) * DAY / 2,
            initiator_id=draw.choice(people),
            model=draw.choice(("m", "n")),
            credential_kind=draw.choice(("centralized", "byok_subscription")),
        )
        record.token_usages = [
            tokens(cost_micros=draw.choice((None, 5, 70)), cache_read_input_tokens=draw.randrange(9))
            for _ in range(draw.randrange(3))
        ]
        records.append(record)
    recording.batch(*records)
    database = recording.database
    groups = {}
    for name, members in (("a", (ANN, BEN)), ("b", (BEN, CAT)), ("empty", ())):
        group = add_group(database, name)["id"]
        join(database, group, members)
        groups[group] = members
    for period in PERIODS:
        for unit in ("usd", "tokens"):
            for number, group in enumerate(groups):
                set_budget(database, "group", group, period=period, unit=unit, amount=100)
                set_budget(database, "group", group, period=period, unit=unit, amount=100 + number, each=True)
            set_budget(database, "everybody", "", period=period, unit=unit, amount=300)
            set_budget(database, "user", CAT, period=period, unit=unit, amount=50)
    for today in (TODAY, TODAY + timedelta(days=3), date(2027, 1, 1)):
        told = found(database, today)
        for standing in told:
            budget = standing.budget
            whose = {standing.user_id} if budget.each else {budget.subject_id}
            if not budget.each and budget.kind != "user":
                whose = set(people if budget.kind == "everybody" else groups[budget.subject_id])
            meant = [
                record
                for record in records
                if record.initiator_id in whose
                and since(budget.period, today)
                <= datetime.fromtimestamp(record.started_at, UTC).date()
                < until(budget.period, today)
            ]
            assert standing.used == used(meant)
            # Of two groups the one that gives more; the user's own before both.
            if budget.each:
                assert standing.user_id == (ANN if budget.amount == 100 else BEN)
        assert len([one for one in told if not one.budget.each]) == len(PERIODS) * 2 * 5


def used(records: list[Any]) -> Used:
    total = Used()
    for record in records:
        paid = record.credential_kind != "byok_subscription"
        for told in record.token_usages:
            cost = told.cost_micros or 0
            total += Used(
                cost if paid else 0,
                0 if paid else cost,
                told.input_tokens + told.output_tokens + told.cache_read_input_tokens,
                int(paid and told.cost_micros is None),
            )
        total += Used(unmetered=not record.token_usages)
    return total


def test_everyone_may_have_as_much(recording: Recording) -> None:
    """One's own budget takes the place of that for everyone; who used nothing is not told of."""
    recording.batch(*(interception(initiator_id=who, token_usages=[tokens(cost_micros=9)]) for who in (ANN, BEN)))
    database = recording.database
    set_budget(database, "everybody", "", period="month", unit="usd", amount=10, each=True)
    assert sorted((one.user_id, one.percent, one.state) for one in found(database)) == [
        (ANN, 90, "near"),
        (BEN, 90, "near"),
    ]
    set_budget(database, "user", BEN, period="month", unit="usd", amount=9)
    assert sorted((one.budget.kind, one.user_id, one.state) for one in found(database)) == [
        ("everybody", ANN, "near"),
        ("user", "", "spent"),
    ]


BUDGET = Budget(id=ANN, kind="user", subject_id=ANN, each=False, period="day", unit="usd", amount=200, mode="")


@pytest.mark.parametrize(("amount", "state"), [(100, "spent"), (101, "near"), (117, "near"), (118, "ok"), (1, "spent")])
def test_thresholds_are_at_85_and_at_100_percent(amount: int, state: str) -> None:
    budget = msgspec.structs.replace(BUDGET, amount=amount)
    assert Standing(budget, "", "", "", Used(micros=100)).state == state


@pytest.mark.parametrize(("unit", "percent"), [("usd", 5), ("tokens", 50)])
def test_a_percentage_is_that_of_the_unit(unit: Unit, percent: int) -> None:
    budget = msgspec.structs.replace(BUDGET, unit=unit)
    assert Standing(budget, "", "", "", Used(micros=10, tokens=100)).percent == percent


def test_each_threshold_is_told_once_by_whoever_notices(recording: Recording) -> None:
    """Several processes look at the same database; one is started anew; the next period is told of anew."""
    database = recording.database
    recording.batch(interception(token_usages=[tokens(cost_micros=90)]))
    budget = set_budget(database, "user", ANN, period="day", unit="usd", amount=100)
    one, other = Notices(), Notices()

    def told(notices: Notices, today: date = TODAY) -> list[int]:
        return [percent for _, percent in notices.new(database, found(database, today))]

    assert (told(one), told(one), told(other), told(Notices())) == ([85], [], [], [])
    recording.batch(interception(token_usages=[tokens(cost_micros=20)]))
    assert (told(other), told(one), told(Notices())) == ([100], [], [])
    recording.batch(interception(T0 + DAY, token_usages=[tokens(cost_micros=500)]))
    tomorrow = TODAY + timedelta(days=1)
    assert (told(one, tomorrow), told(other, tomorrow)) == ([100], [])
    # Another amount is another budget.
    set_budget(database, "user", ANN, period="day", unit="usd", amount=400)
    assert (told(Notices(), tomorrow), budget.amount) == ([100], 100)
    assert rows(database, "SELECT count(*) FROM aitap_budget_notices") == [(2,)]


def test_the_status_tells_what_is_left_and_what_could_not_be_counted(recording: Recording) -> None:
    database = recording.database
    recording.batch(
        interception(token_usages=[tokens(cost_micros=30), tokens()]),
        interception(),
        interception(initiator_id=BEN, token_usages=[tokens(cost_micros=40)]),
        interception(credential_kind="byok_subscription", token_usages=[tokens(cost_micros=7)]),
    )
    group = add_group(database, "interns")["id"]
    join(database, group, [ANN, BEN])
    set_budget(database, "group", group, period="month", unit="usd", amount=100)
    set_budget(database, "group", group, period="month", unit="usd", amount=50, each=True)
    set_budget(database, "everybody", "", period="week", unit="tokens", amount=50)
    tokens_, all_, each = budget_status(database, TODAY)
    assert [row["name"] for row in list_budgets(database)] == ["everybody", "interns", "interns"]
    assert (tokens_["spent"], tokens_["left"], tokens_["percent"], tokens_["state"]) == (60, 0, 120, "spent")
    assert (all_["spent"], all_["left"], all_["percent"], all_["state"]) == (70, 30, 70, "ok")
    assert (all_["unpriced"], all_["unmetered"], all_["subscription_micros"]) == (1, 1, 7)
    assert (all_["since"], all_["until"], all_["users"]) == ("2026-11-01", "2026-12-01", None)
    assert [(one["user"]["id"], one["spent"], one["percent"]) for one in each["users"]] == [
        (BEN, 40, 80),
        (ANN, 30, 60),
    ]
    assert (each["spent"], each["percent"], each["left"]) == (40, 80, 10)


def test_a_budget_that_nobody_touched_has_all_left(database: Database) -> None:
    set_budget(database, "everybody", "", period="day", unit="tokens", amount=7, each=True)
    [row] = budget_status(database, TODAY)
    assert (row["spent"], row["left"], row["state"], row["users"]) == (0, 7, "ok", [])


def test_sums_alone_are_read(recording: Recording) -> None:
    """What retention took was spent all the same."""
    recording.batch(interception(token_usages=[tokens(cost_micros=30)]))
    rows(recording.database, "DELETE FROM aibridge_interceptions")
    for period, unit in (("day", "usd"), ("month", "usd"), ("week", "usd")):
        set_budget(recording.database, "everybody", "", period=period, unit=unit, amount=100)  # type: ignore[arg-type]
    assert [one.spent for one in found(recording.database)] == [30, 30, 30]
