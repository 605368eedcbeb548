"""``aitap groups`` and ``aitap budgets``: what is said with them holds, and what is used up is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aitap.access.identity import user_id
from tests.export import sample
from tests.export.conftest import Invoke
from tests.export.terminal import on_terminal

Json = Callable[..., Any]


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of its own, with the sample of an hour ago in it, of which one user is known by name."""
    found = f"sqlite:///{tmp_path}/own.db"
    sample.write(found, sample.sample())
    return found


@pytest.fixture
def run(invoke: Invoke, url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("AITAP_DATABASE_URL", url)

    def found(*args: str, status: int = 0) -> str:
        done = invoke(*args, status=status)
        return done.stderr if status else done.stdout

    return found


@pytest.fixture
def told(run: Callable[..., str]) -> Json:
    return lambda *args: json.loads(run(*args))


def test_groups_have_the_users_who_joined(run: Callable[..., str], told: Json) -> None:
    run("users", "add", "ann")
    assert told("groups", "add", "interns")["members"] == []
    assert run("groups", "join", "interns", "ann", "me") == "2 users joined interns\n"
    assert run("groups", "join", "Interns", "ann") == "0 users joined interns; 1 were in it before\n"
    assert run("groups", "leave", "interns", "me") == "1 user left interns\n"
    [group] = told("groups", "list")
    assert [member["username"] for member in group["members"]] == ["ann"]
    told("budgets", "set", "--group", "interns", "--usd", "5")
    assert run("groups", "remove", "interns") == "removed interns and 1 budget\n"
    assert told("groups", "list") == told("budgets", "list") == []


def test_what_is_not_there_is_told_with_what_to_do(run: Callable[..., str]) -> None:
    assert "`aitap groups add NAME` makes one" in run("groups", "join", "nobody", "me", status=1)
    run("groups", "add", "interns")
    assert "there is a group 'interns' already" in run("groups", "add", "INTERNS", status=1)
    assert "`aitap users add bob`" in run("groups", "join", "interns", "bob", status=1)
    assert "`aitap users add bob`" in run("budgets", "set", "--user", "bob", "--usd", "1", status=1)
    assert "`aitap budgets list` shows all" in run("budgets", "remove", "ffffffff", status=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--usd", "5"], "say for whom"),
        (["--user", "me", "--everybody", "--usd", "5"], "say for whom"),
        (["--everybody"], "say how much"),
        (["--everybody", "--usd", "5", "--tokens", "5"], "say how much"),
        (["--user", "me", "--each", "--usd", "5"], "--each is for a group or for everybody"),
        (["--everybody", "--usd", "0"], "write more than 0"),
        (["--everybody", "--usd", "-1"], "'-1' is no amount: write dollars"),
        (["--everybody", "--usd", "1e9"], "is no amount"),
        (["--everybody", "--usd", "0.0000001"], "is no amount"),
        (["--everybody", "--usd", "1000000001"], "nobody can use up so much"),
        (["--everybody", "--tokens", "lots"], "write one such as 500k"),
        (["--everybody", "--tokens", "1.5"], "is no number of tokens"),
        (["--everybody", "--usd", "5", "--per", "year"], "'year' is not one of"),
    ],
)
def test_a_budget_that_is_none_is_wrong_usage(run: Callable[..., str], options: list[str], words: str) -> None:
    assert words in run("budgets", "set", *options, status=2)


@pytest.mark.parametrize(
    ("option", "text", "amount"),
    [
        ("--usd", "50", 50_000_000),
        ("--usd", "$12.50", 12_500_000),
        ("--usd", "0.000001", 1),
        ("--tokens", "1.5M", 1_500_000),
        ("--tokens", "500k", 500_000),
        ("--tokens", "7", 7),
    ],
)
def test_amounts_are_written_as_people_write_them(told: Json, option: str, text: str, amount: int) -> None:
    assert told("budgets", "set", "--everybody", option, text)["amount"] == amount


def test_another_amount_does_not_switch_off_what_refuses_calls(told: Json) -> None:
    told("budgets", "set", "--user", "me", "--usd", "5", "--enforce")
    assert told("budgets", "set", "--user", "me", "--usd", "6")["mode"] == "enforce"
    assert told("budgets", "set", "--user", "me", "--usd", "6", "--per", "day")["mode"] is None
    assert told("budgets", "set", "--user", "me", "--usd", "6", "--warn")["mode"] == "warn"


def test_a_budget_is_set_shown_changed_and_removed(run: Callable[..., str], told: Json) -> None:
    first = told("budgets", "set", "--user", "me", "--usd", "5", "--per", "day", "--enforce")
    again = told("budgets", "set", "--user", "me", "--usd", "6", "--per", "day", "--warn")
    assert (again["id"], again["amount"], again["mode"]) == (first["id"], 6_000_000, "warn")
    told("budgets", "set", "--everybody", "--each", "--tokens", "20m")
    assert [(row["name"], row["each"], row["unit"]) for row in told("budgets", "list")] == [
        ("everybody", True, "tokens"),
        (again["name"], False, "usd_micros"),
    ]
    removed = run("budgets", "remove", first["id"][-8:])
    assert removed == f"removed: {again['name']}: $6.00 a day\n"
    assert [row["name"] for row in told("budgets", "list")] == ["everybody"]


def test_the_status_is_what_usage_says(run: Callable[..., str], told: Json) -> None:
    """Dollars of subscriptions aside, which are in the usage too."""
    told("budgets", "set", "--everybody", "--usd", "100")
    told("budgets", "set", "--everybody", "--tokens", "100k")
    told("budgets", "set", "--everybody", "--usd", "100", "--each")
    total = told("usage", "--by", "month")["rows"][-1]
    dollars, tokens, each = sorted(told("budgets", "status"), key=lambda row: (row["each"], row["unit"] == "tokens"))
    assert dollars["spent"] + dollars["subscription_micros"] == total["cost_micros"]
    assert tokens["spent"] == sum(total[name] for name in total if name.endswith("_tokens"))
    assert (tokens["state"], tokens["left"]) == ("spent", 0)
    assert dollars["unmetered"] == total["unmetered"] == 1
    assert {one["user"]["id"] for one in each["users"]} == {sample.ME, sample.BOB}
    assert sum(one["spent"] for one in each["users"]) == dollars["spent"]
    assert user_id("nobody") not in str(each)


@pytest.mark.parametrize("width", [70, 120])
def test_a_person_sees_tables_that_fit(run: Callable[..., str], url: str, width: int) -> None:
    pytest.importorskip("pty")
    run("groups", "add", "interns")
    run("budgets", "set", "--group", "interns", "--usd", "5", "--per", "week", "--enforce")
    run("budgets", "set", "--everybody", "--tokens", "100k", "--each")
    status, screen = on_terminal(width, "budgets", AITAP_DATABASE_URL=url)
    lines = screen.splitlines()
    assert status == 0, screen
    assert lines[0].startswith("WHOSE")
    assert "(each of everybody)" in screen
    assert "group interns" in screen
    assert ("refused" in screen) is (width > 80)
    assert "`aitap usage --unpriced` lists them" in " ".join(screen.split())
    assert max(map(len, lines)) <= width
    _, screen = on_terminal(width, "groups", "list", AITAP_DATABASE_URL=url)
    assert screen.splitlines()[1].split()[:2] == ["interns", "0"]


def test_without_any_it_says_so(url: str) -> None:
    pytest.importorskip("pty")
    assert on_terminal(80, "budgets", AITAP_DATABASE_URL=url)[1].strip() == "No budgets found."
    assert on_terminal(80, "groups", "list", AITAP_DATABASE_URL=url)[1].strip() == "No groups found."
