"""Groups and budgets: what is said of them last holds, and every change is noticed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from peewee import Database

from aitap.storage.budgets import (
    budgets_version,
    find_budget,
    named,
    read_budgets,
    read_members,
    remove_budget,
    set_budget,
)
from aitap.storage.groups import GroupError, add_group, find_group, join, leave, list_groups, remove_group
from aitap.storage.users import add_user
from tests.storage.making import ANN, BEN, rows


@pytest.fixture
def people(database: Database) -> Database:
    add_user(database, ANN, "ann")
    add_user(database, BEN, "ben")
    return database


def test_users_join_groups_and_leave_them(people: Database) -> None:
    group = add_group(people, "interns")
    assert join(people, group["id"], [ANN, BEN, ANN]) == 2
    assert join(people, group["id"], [ANN]) == 0
    [told] = list_groups(people)
    assert [member["username"] for member in told["members"]] == ["ann", "ben"]
    assert leave(people, group["id"], [ANN, ANN]) == 1
    assert read_members(people) == {group["id"]: [BEN]}


def test_a_group_has_a_name_of_its_own_case_aside(people: Database) -> None:
    add_group(people, "Interns")
    with pytest.raises(GroupError, match="there is a group 'Interns' already"):
        add_group(people, "interns")
    for name in ("", "  ", " x", "a\nb", "x" * 129):
        with pytest.raises(GroupError, match="no name for a group"):
            add_group(people, name)
    found = find_group(people, "INTERNS")
    assert found is not None
    assert found["name"] == "Interns"
    assert find_group(people, "others") is None


def test_a_group_goes_with_its_budgets_and_no_others(people: Database) -> None:
    mine, other = add_group(people, "mine"), add_group(people, "other")
    join(people, mine["id"], [ANN])
    for group in (mine, other):
        set_budget(people, "group", group["id"], period="day", unit="usd", amount=5)
    set_budget(people, "everybody", "", period="day", unit="usd", amount=5)
    assert remove_group(people, mine["id"]) == 1
    assert [row["name"] for row in named(people, read_budgets(people))] == ["other", "everybody"]
    assert read_members(people) == {}


def test_the_last_word_on_a_budget_counts(people: Database) -> None:
    """There is one for each subject, period and unit, and one more for everyone alone."""
    first = set_budget(people, "user", ANN, period="month", unit="usd", amount=50_000_000)
    again = set_budget(people, "user", ANN, period="month", unit="usd", amount=60_000_000, mode="enforce")
    assert (again.id, again.amount, again.mode) == (first.id, 60_000_000, "enforce")
    set_budget(people, "user", ANN, period="day", unit="usd", amount=1)
    set_budget(people, "user", ANN, period="month", unit="tokens", amount=2**53)
    set_budget(people, "everybody", "", period="month", unit="usd", amount=3)
    set_budget(people, "everybody", "", period="month", unit="usd", amount=4, each=True)
    told = named(people, read_budgets(people))
    assert sorted((row["name"], row["each"], row["unit"], row["period"], row["amount"]) for row in told) == [
        ("ann", False, "tokens", "month", 2**53),
        ("ann", False, "usd_micros", "day", 1),
        ("ann", False, "usd_micros", "month", 60_000_000),
        ("everybody", False, "usd_micros", "month", 3),
        ("everybody", True, "usd_micros", "month", 4),
    ]
    assert find_budget(people, first.id[-8:]) == again
    remove_budget(people, first.id)
    assert find_budget(people, first.id) is None
    assert len(read_budgets(people)) == 4


def test_what_was_told_of_another_amount_is_told_again(people: Database) -> None:
    budget = set_budget(people, "user", ANN, period="month", unit="usd", amount=5)
    put = "INSERT INTO aitap_budget_notices (budget_id, user_id, since, percent, told_at) VALUES (?, '', ?, 85, ?)"
    rows(people, put, budget.id, "2026-11-01", "2026-11-02 00:00:00.000000+00:00")
    set_budget(people, "user", ANN, period="month", unit="usd", amount=6)
    assert rows(people, "SELECT count(*) FROM aitap_budget_notices") == [(0,)]


CHANGES: dict[str, Callable[[Database, str, str], object]] = {
    "group made": lambda database, group, budget: add_group(database, "new"),
    "user joined": lambda database, group, budget: join(database, group, [BEN]),
    "user left": lambda database, group, budget: leave(database, group, [ANN]),
    "budget changed": lambda database, group, budget: set_budget(
        database, "user", ANN, period="day", unit="usd", amount=2
    ),
    "budget removed": lambda database, group, budget: remove_budget(database, budget),
    "group removed": lambda database, group, budget: remove_group(database, group),
}


def test_every_change_makes_another_version(people: Database) -> None:
    group = add_group(people, "interns")["id"]
    join(people, group, [ANN])
    budget = set_budget(people, "user", ANN, period="day", unit="usd", amount=1)
    for what, change in CHANGES.items():
        before = budgets_version(people)
        change(people, group, budget.id)
        assert budgets_version(people) > before, what
