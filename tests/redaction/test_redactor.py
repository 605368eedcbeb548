"""Whatever goes wrong, a text that could not be redacted is not kept, and nothing of it is told."""

from __future__ import annotations

import logging
import threading

import pytest

from aitap.redaction import redactor as module
from aitap.redaction.engine import Engine
from aitap.redaction.redactor import WITHHELD, Redactor, redactor_of
from aitap.redaction.rows import OwnRule, Rule

SECRET = "hunter2xyz"


def broken(monkeypatch: pytest.MonkeyPatch) -> Redactor:
    def fail(*_: object) -> None:
        raise RuntimeError(f"cannot read {SECRET}")

    monkeypatch.setattr(Engine, "text", fail)
    monkeypatch.setattr(Engine, "value", fail)
    return Redactor([])


def test_a_text_is_withheld_where_the_engine_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    redactor = broken(monkeypatch)
    assert redactor.text(f"my {SECRET}") == (WITHHELD, {"withheld": 1})
    assert redactor.parts([{"type": "text", "text": SECRET}]) == (
        [{"type": "withheld", "text": WITHHELD}],
        {"withheld": 1},
    )
    assert redactor.again(SECRET) == WITHHELD
    assert redactor.failures == 3
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("rule", [Rule(name="x", pattern="("), Rule(name="x", pattern="x", check="none such")])
def test_all_texts_are_withheld_where_the_rules_cannot_be_used(rule: Rule, caplog: pytest.LogCaptureFixture) -> None:
    redactor = Redactor([rule])
    assert redactor.text("anything") == (WITHHELD, {"withheld": 1})
    assert "ALL TEXTS ARE WITHHELD" in caplog.text


def test_rules_that_cannot_be_read_withhold_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(module, "chosen_rules", gone)
    redactor = redactor_of(("all",))
    assert redactor is not None
    assert redactor.text("anything")[0] == WITHHELD


def test_a_pattern_that_takes_for_ever_withholds_and_the_next_text_is_none_the_worse() -> None:
    assert threading.current_thread() is threading.main_thread()
    redactor = Redactor([Rule(name="slow", pattern="(a+)+$"), Rule(name="quick", pattern="b+")], seconds=0.05)
    assert redactor.text("a" * 64 + "!") == (WITHHELD, {"withheld": 1})
    assert redactor.text("a bb") == ("a [redacted:quick]", {"quick": 1})


def test_a_text_longer_than_anything_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST", 10)
    assert Redactor([]).text("a" * 11)[0] == WITHHELD
    assert Redactor([]).text("a" * 10)[0] == "a" * 10


def test_a_text_that_comes_again_is_told_the_same() -> None:
    redactor = redactor_of(("secrets",), (OwnRule("customer", r"CUST-\d{4}"),))
    assert redactor is not None
    for _ in range(2):
        assert redactor.again("of CUST-1234") == "of [redacted:customer]"
        assert redactor.again("of nobody") == "of nobody"


def test_off_is_no_redactor() -> None:
    assert redactor_of((), (OwnRule("customer", "x"),)) is None


def test_what_a_failure_says_names_no_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Redactor(None).text(SECRET)
    assert SECRET not in caplog.text
