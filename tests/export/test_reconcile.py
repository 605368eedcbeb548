"""``aitap reconcile`` finds the logs, tells what differs, and ends with a status that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aitap.export.cli import main
from aitap.record import Interception
from tests.export import sample
from tests.export.terminal import on_terminal
from tests.reconcile.logs import T0, claude_answer, codex_record, codex_start, write
from tests.storage.making import interception, tokens

CLAUDE = {"input_tokens": 21, "output_tokens": 33, "cache_read_input_tokens": 100, "cache_write_input_tokens": 5}
CODEX = {"input_tokens": 13, "output_tokens": 12, "cache_read_input_tokens": 8}
SINCE = ("--since", "2026-11-01T00:00:00Z")


def recorded() -> list[Interception]:
    claude: dict[str, Any] = {"client": "Claude Code", "client_session_id": "s1", "model": "claude-opus-5-5"}
    codex: dict[str, Any] = {"client": "Codex", "client_session_id": "c1", "model": "gpt-6.1-sol", "provider": "openai"}
    return [
        interception(T0, token_usages=[tokens("msg_1", **CLAUDE)], **claude),
        interception(T0 + 1, token_usages=[tokens("resp_1", **CODEX)], **codex),
    ]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AITAP_DATABASE_URL", f"sqlite:///{tmp_path}/aitap.db")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME"):
        monkeypatch.delenv(name, raising=False)
    sample.write(f"sqlite:///{tmp_path}/aitap.db", recorded())
    write(tmp_path / ".claude/projects/p/s1.jsonl", [claude_answer(1, at=T0 + 1)])
    write(tmp_path / ".codex/sessions/2026/11/18/rollout-1.jsonl", [*codex_start(), codex_record(1, at=T0 + 2)])
    return tmp_path


def run(*args: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["reconcile", *args])
    assert result.exit_code == status, result.output
    return result


@pytest.mark.usefixtures("home")
def test_logs_of_both_clients_agree_with_the_record() -> None:
    found = json.loads(run(*SINCE).stdout)
    assert (found["equal"], found["same"], found["recorded"], found["logs"]["files"]) == (True, 2, 2, 2)
    assert [(day["client"], day["logged"], day["recorded"]) for day in found["days"]] == [
        ("Claude Code", CLAUDE, CLAUDE),
        ("Codex", {**CODEX, "cache_write_input_tokens": 0}, {**CODEX, "cache_write_input_tokens": 0}),
    ]


def test_a_difference_is_told_with_its_words_and_by_the_status(home: Path) -> None:
    write(home / ".claude/projects/p/s2.jsonl", [claude_answer(9, at=T0 + 5, session="unseen")])
    found = json.loads(run(*SINCE, status=1).stdout)
    [difference] = found["differences"]
    assert (difference["reason"], difference["response_id"], difference["recorded"]) == ("not_proxied", "msg_9", None)
    assert "did not use the proxy" in found["reasons"]["not_proxied"]["words"]
    status, shown = on_terminal(120, "reconcile", *SINCE)
    assert status == 1
    assert "3 calls in 3 session logs, 2 recorded: 2 are the same." in shown
    assert "msg_9" in shown


def test_an_invoice_is_compared_by_day_and_model(home: Path) -> None:
    head = "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_output_tokens"
    usage = head + "\n2026-11-18,claude-opus-5-5,{},33\n"
    usage_csv = str(home / "usage.csv")
    (home / "usage.csv").write_text(usage.format(21))
    assert json.loads(run("--invoice", usage_csv).stdout)["equal"]
    (home / "usage.csv").write_text(usage.format(22))
    [line] = [line for line in json.loads(run("--invoice", usage_csv, status=1).stdout)["lines"] if line["difference"]]
    assert line["difference"]["input_tokens"] == 1
    status, shown = on_terminal(120, "reconcile", "--invoice", usage_csv)
    assert status == 1
    assert "bill more than is recorded" in shown
    mapped = ("--column", "date=usage_date_utc", "--column", "output=usage_output_tokens", "--provider", "anthropic")
    assert json.loads(run("--invoice", usage_csv, *mapped).stdout)["equal"]


def test_what_cannot_be_read_is_one_line(home: Path) -> None:
    (home / "x.csv").write_text("a,b\n")
    for args, words in (
        (("--invoice", str(home / "x.csv")), "x.csv is of none of the forms we know"),
        (("--invoice", str(home / "missing.csv")), "missing.csv: No such file"),
        (("--column", "date"), "write what it is and the column's name"),
        (("--provider", "openai"), "--column and --provider go with --invoice"),
        (("--since", "1s", "--claude-dir", "x", "--codex-dir", "y"), "no session log since then in x, y"),
        (("--since", "soon"), "--since"),
    ):
        result = CliRunner().invoke(main, ["reconcile", *args])
        assert result.exit_code in (1, 2)
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
