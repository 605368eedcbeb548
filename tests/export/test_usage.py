"""``aitap usage`` and ``aitap reprice``: a table for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from aitap.prices.pricing import Prices
from tests.export import sample
from tests.export.conftest import Invoke, Written
from tests.export.terminal import on_terminal

posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo terminal")

OWN = """
[[price]]
provider = "together"
model = "meta-llama/*"
input = 1
output = 1

[[price]]
model = "claude-opus-4-8"
as = "anthropic"
multiplier = 2
"""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A sample of its own, for who changes it."""
    url = f"sqlite:///{tmp_path}/copy.db"
    sample.write(url, sample.sample())
    monkeypatch.setenv("AITAP_DATABASE_URL", url)
    return url


def usage(invoke: Invoke, *options: str) -> dict:
    return json.loads(invoke("usage", *options).stdout)


def test_a_pipe_gets_rows_and_their_sum(invoke: Invoke, written: Written) -> None:
    found = usage(invoke, "--by", "provider,model")
    assert found["by"] == ["provider", "model"]
    for name in ("interceptions", "input_tokens", "cost_micros"):
        assert found["total"][name] == sum(row[name] or 0 for row in found["rows"])
    assert found["total"]["interceptions"] == sum(record.ended_at is not None for record in written.records)


def test_what_is_stored_is_what_the_list_price_says(invoke: Invoke, written: Written) -> None:
    prices = Prices()
    expected = 0
    for record in written.records:
        for told in record.token_usages:
            cost = prices.cost(record, told)
            expected += cost if isinstance(cost, int) else 0
    assert usage(invoke)["total"]["cost_micros"] == expected > 300_000


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ([], 13),
        (["--model", "claude-opus-4-8"], 7),
        (["--client", "Claude Code"], 9),
        (["--session-id", sample.CLAUDE_SESSION], 9),
        (["--started-after", "1h"], 11),
        (["--initiator", sample.BOB, "--provider", "openai"], 2),
        (["-q", "model:none"], 0),
    ],
)
def test_filters_are_those_of_every_other_command(invoke: Invoke, options: list[str], calls: int) -> None:
    assert usage(invoke, *options)["total"]["interceptions"] == calls


def test_unknown_is_null(invoke: Invoke) -> None:
    rows = {row["model"]: row for row in usage(invoke)["rows"]}
    silent = rows["meta-llama/Llama-3.3-70B-Instruct-Turbo"]
    assert (silent["cost_micros"], silent["input_tokens"], silent["unmetered"]) == (None, None, 1)


def test_csv_has_a_column_for_each_part_of_a_user(invoke: Invoke) -> None:
    [row, *_] = csv.DictReader(io.StringIO(invoke("usage", "--by", "user,day", "--csv", "--provider", "openai").stdout))
    assert list(row)[:3] == ["initiator_id", "initiator_username", "day"]
    assert row["initiator_id"] == sample.BOB
    assert int(row["cost_micros"]) > 0


def test_a_wrong_name_is_told_with_the_right_one(invoke: Invoke) -> None:
    assert "'month'" in invoke("usage", "--by", "moth", status=2).stderr
    assert "at least one" in invoke("usage", "--by", "", status=2).stderr


@posix
@pytest.mark.parametrize("width", [60, 100, 200])
def test_a_terminal_shows_a_table_with_a_line_for_all(written: Written, width: int) -> None:
    status, screen = on_terminal(width, "usage", "--by", "credential_kind", AITAP_DATABASE_URL=written.url)
    lines = screen.splitlines()
    assert status == 0
    assert lines[0].startswith("CREDENTIAL KIND")
    assert lines[-1].startswith("Total")
    assert "byok_subscription" in screen
    assert lines[-1].rstrip().endswith("+")
    assert max(map(len, lines)) <= width


@posix
def test_a_terminal_is_told_what_has_no_price(written: Written) -> None:
    status, screen = on_terminal(140, "usage", "--unpriced", AITAP_DATABASE_URL=written.url)
    assert status == 0
    assert "meta-llama/Llama-3.3-70B-Instruct-Turbo" in screen
    assert "told no tokens" in screen


def test_unpriced_is_a_list_for_programs(invoke: Invoke) -> None:
    [row] = json.loads(invoke("usage", "--unpriced").stdout)
    assert (row["provider_name"], row["unpriced"], row["unmetered"]) == ("together", 0, 1)
    assert json.loads(invoke("usage", "--unpriced", "--model", "gpt-5.2-codex").stdout) == []


def test_sessions_and_exports_have_the_cost(invoke: Invoke) -> None:
    total = usage(invoke)["total"]["cost_micros"]
    assert sum(record["cost_micros"] or 0 for record in json.loads(invoke("sessions", "list").stdout)) == total
    rows = csv.DictReader(io.StringIO(invoke("export", "--format", "csv").stdout))
    assert sum(int(row["cost_micros"] or 0) for row in rows) == total
    sessions = csv.DictReader(io.StringIO(invoke("export", "sessions", "--format", "csv").stdout))
    assert sum(int(row["cost_micros"] or 0) for row in sessions) == total


def test_reprice_says_what_it_would_do_and_then_does_it(invoke: Invoke, copy: str) -> None:
    Path("aitap.toml").write_text(OWN)
    before = usage(invoke)["total"]["cost_micros"]
    dry = json.loads(invoke("reprice", "--dry-run").stdout)
    assert usage(invoke)["total"]["cost_micros"] == before == dry["before_micros"]
    done = json.loads(invoke("reprice").stdout)
    assert {**dry, "dry_run": False} == done
    assert usage(invoke)["total"]["cost_micros"] == done["after_micros"] > before
    assert json.loads(invoke("reprice").stdout)["changed"] == 0
    found = json.loads(invoke("interceptions", "list", "--model", "claude-opus-4-8").stdout)
    assert {told["price_book"] for record in found for told in record["token_usages"]} == {done["price_book"]}


def test_reprice_since_a_time_that_is_none_is_wrong_usage(invoke: Invoke) -> None:
    assert "neither a time" in invoke("reprice", "--since", "yesterday", status=2).stderr


@posix
def test_reprice_tells_people(copy: str) -> None:
    status, screen = on_terminal(100, "reprice", AITAP_DATABASE_URL=copy)
    assert status == 0
    assert "0 of 11 responses" in screen


@posix
def test_show_says_what_it_cost_and_by_which_prices(written: Written) -> None:
    record = next(record for record in written.records if record.model == "gpt-5.2-codex")
    _, screen = on_terminal(100, "interceptions", "show", record.id, AITAP_DATABASE_URL=written.url)
    [line] = [line for line in screen.splitlines() if line.strip().startswith("cost ")]
    [told] = record.token_usages
    micros = Prices().cost(record, told)
    assert isinstance(micros, int)
    assert line.split()[-1] == f"${micros / 1e6:.6f}"
    _, screen = on_terminal(100, "sessions", "show", sample.CLAUDE_SESSION, AITAP_DATABASE_URL=written.url)
    assert "; $0.3" in screen
