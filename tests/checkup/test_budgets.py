"""What is told of budgets."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from aitap.checkup.budgets import check_budgets
from aitap.settings import BudgetsMode
from aitap.storage.budgets import set_budget
from aitap.storage.users import add_user
from tests.storage.making import ANN, T0, Recording, database_in, interception, tokens

TODAY = date(2026, 11, 18)


def said(recording: Recording, setting: BudgetsMode = "warn") -> list[tuple[str, str, str]]:
    return [(one.check, one.status, one.what) for one in check_budgets(recording.database, setting, TODAY)]


def test_what_is_nearly_or_wholly_used_up_is_a_warning(tmp_path: Path) -> None:
    """Nothing is said where there are no budgets; where there is enough left of all, in one line."""
    database = database_in(tmp_path)
    recording = Recording(database)
    add_user(database, ANN, "ann")
    recording.batch(interception(T0, token_usages=[tokens(cost_micros=9_000_000)]))
    recording.writer.close()
    assert said(recording) == []
    set_budget(database, "everybody", "", period="month", unit="usd", amount=100_000_000)
    assert said(recording) == [("budgets.used", "ok", "of 1 budget less than 85 % is used up")]
    set_budget(database, "everybody", "", period="day", unit="usd", amount=10_000_000, each=True)
    set_budget(database, "user", ANN, period="week", unit="tokens", amount=15)
    near = ("budgets.used", "warning", "90 % of the budget of ann (each of everybody) is used up: $9.00")
    spent = "100 % of the budget of ann is used up: 15 tokens; then: {}, until 2026-11-23"
    assert said(recording) == [near, ("budgets.used", "warning", spent.format("a warning"))]
    assert said(recording, "enforce")[1][2] == spent.format("calls are refused")
    assert said(recording, "off")[1][2] == spent.format("nothing (budgets = off)")
    database.close()
