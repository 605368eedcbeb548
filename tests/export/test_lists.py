"""Lists and shows: JSON when piped, tables on a terminal."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from tests.export import sample
from tests.export.conftest import Invoke, Written
from tests.export.terminal import on_terminal

posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo terminal")


def test_a_piped_list_is_an_array_indented_by_two_newest_first(invoke: Invoke, written: Written) -> None:
    text = invoke("interceptions", "list").stdout
    found = json.loads(text)
    assert text == json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    assert [record["id"] for record in found] == [record.id for record in reversed(written.records)]


def test_an_empty_list_is_an_empty_array(invoke: Invoke) -> None:
    assert json.loads(invoke("interceptions", "list", "--model", "none").stdout) == []


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--initiator", "me"], 12),
        (["--initiator", sample.BOB], 2),
        (["--provider", "openai", "--started-before", "1h"], 2),
        (["--provider-name", "together"], 1),
        (["--model", "claude-opus-4-8"], 8),
        (["--client", "Claude Code", "--limit", "4"], 4),
        (["-q", 'client:"Claude Code" model:claude-opus-4-8'], 6),
        (["-q", "me"], 12),
        (["-q", "me", "--provider", "openai"], 1),
        (["--session-id", sample.CLAUDE_SESSION], 9),
        (["--started-after", "1h"], 12),
        (["--started-before", (datetime.now(UTC) - timedelta(hours=2)).isoformat()], 2),
        (["--model", ""], 14),
    ],
)
def test_query_options_choose(options: list[str], count: int, invoke: Invoke) -> None:
    assert len(json.loads(invoke("interceptions", "list", *options).stdout)) == count


def test_after_id_goes_on_where_the_page_ended(invoke: Invoke, written: Written) -> None:
    page = json.loads(invoke("interceptions", "list", "--limit", "5").stdout)
    rest = json.loads(invoke("interceptions", "list", "--after-id", page[-1]["id"]).stdout)
    assert [record["id"] for record in page + rest] == [record.id for record in reversed(written.records)]


def test_a_record_has_every_field_of_the_contract(invoke: Invoke, written: Written) -> None:
    found = json.loads(invoke("interceptions", "show", written.records[3].id).stdout)
    assert set(found) >= set(type(written.records[3]).__struct_fields__) - {"lineage", "contents", "wire"}
    assert found["initiator"]["id"] == sample.ME
    assert found["session_id"] == sample.CLAUDE_SESSION
    assert found["ended_at"].endswith("+00:00")
    assert found["token_usages"][0]["input_tokens"] == 3
    assert [usage["tool"] for usage in found["tool_usages"]] == ["Bash", "Read"]
    assert found["error_type"] is None


def test_sessions_are_listed_with_their_sums(invoke: Invoke) -> None:
    found = {record["id"]: record for record in json.loads(invoke("sessions", "list").stdout)}
    claude = found[sample.CLAUDE_SESSION]
    assert claude["client"] == "Claude Code"
    assert claude["models"] == ["claude-haiku-4-5-20251001", "claude-opus-4-8"]
    assert claude["interceptions"] == 9
    assert claude["token_usage_summary"]["output_tokens"] == 3268
    assert claude["last_prompt"] == "great, now bump the version\nand write the changelog entry"
    assert found[sample.CODEX_SESSION]["initiator"]["id"] == sample.BOB


def test_a_session_is_shown_with_threads_subagents_and_auxiliary_calls(invoke: Invoke) -> None:
    found = json.loads(invoke("sessions", "show", sample.CLAUDE_SESSION[:8]).stdout)
    first, second = found["threads"]
    assert first["prompt"].startswith("The login test fails")
    assert [len(thread["interceptions"]) for thread in (first, second)] == [5, 1]
    (subagent,) = first["subagents"]
    assert subagent["agent"] == "Explore"
    assert [record["purpose"] for record in found["auxiliary"]] == ["auxiliary"]


def test_distinct_values(invoke: Invoke) -> None:
    assert json.loads(invoke("clients").stdout) == ["Claude Code", "Codex", "Unknown"]
    assert json.loads(invoke("providers").stdout) == ["anthropic", "openai"]
    assert json.loads(invoke("models", "-q", "claude").stdout) == ["claude-haiku-4-5-20251001", "claude-opus-4-8"]
    assert json.loads(invoke("models", "--client", "Codex").stdout) == ["gpt-5.2-codex"]


@posix
@pytest.mark.parametrize("width", [40, 80, 100, 120, 150, 200])
@pytest.mark.parametrize("command", ["interceptions list", "sessions list", "sessions show 1d2e3b4a"])
def test_what_a_terminal_shows_fits_its_width(command: str, width: int, written: Written) -> None:
    status, text = on_terminal(width, *command.split(), AITAP_DATABASE_URL=written.url)
    assert status == 0
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "Traceback" not in text


@posix
def test_a_table_of_80_columns_shows_what_matters(written: Written) -> None:
    _, text = on_terminal(80, "interceptions", "list", AITAP_DATABASE_URL=written.url)
    head, *lines = text.splitlines()
    assert head.split()[:5] == ["TIME", "ID", "MODEL", "IN", "OUT"]
    by_id = {record.id[-8:]: line for record in written.records for line in lines if record.id[-8:] in line}
    assert len(by_id) == len(written.records)
    failed = next(record for record in written.records if record.outcome == "failed")
    assert "failed 529 Overloaded" in by_id[failed.id[-8:]]
    assert "\u2013" in by_id[failed.id[-8:]]
    long_prompt = next(record for record in written.records if record.user_prompts and record.duration == 5.4)
    assert "The login test" in by_id[long_prompt.id[-8:]]


@posix
def test_what_a_client_sent_cannot_reach_the_terminal(written: Written) -> None:
    for command in (["interceptions", "list"], ["sessions", "list"], ["interceptions", "show", written.records[11].id]):
        _, text = on_terminal(200, *command, AITAP_DATABASE_URL=written.url)
        assert "ping [31mred[0m" in text
        assert not set(text) & {"\x1b", "\x07"}


@posix
def test_the_short_id_of_a_table_is_understood_by_show(written: Written) -> None:
    record = written.records[3]
    status, text = on_terminal(80, "interceptions", "show", record.id[-8:], AITAP_DATABASE_URL=written.url)
    assert status == 0
    for words in (record.id, "ok (tool_use)", "Claude Code 2.1.3", "Thought (thinking)", "Tool call Bash", '"command"'):
        assert words in text


@posix
def test_a_session_tells_its_story(written: Written) -> None:
    _, text = on_terminal(100, "sessions", "show", "1d2e3b4a", AITAP_DATABASE_URL=written.url)
    places = [
        text.index(words)
        for words in (
            f"Session {sample.CLAUDE_SESSION}",
            "2 threads, 1 sub-agent, 9 calls, 7 tool calls, 1 error",
            "The login test fails",
            "Bash  git log --oneline -5 -- src/auth",
            "ok    Task  Find callers",
            "Explore: Find every caller of verify_token",
            "error Glob  **/auth*.py",
            "failed 529",
            "error Bash  pytest -q",
            "great, now bump the version",
            "Besides, 1 call of the client's own (title 1; claude-haiku-4-5)",
        )
    ]
    assert places == sorted(places)


@posix
def test_nothing_found_is_said(written: Written) -> None:
    for command in ("interceptions", "sessions"):
        assert on_terminal(80, command, "list", "--model", "x", AITAP_DATABASE_URL=written.url) == (
            0,
            f"No {command} found.\n",
        )
    for command in ("models", "clients", "providers"):
        assert on_terminal(80, command, "--started-before", "2000-01-01T00:00:00Z", AITAP_DATABASE_URL=written.url) == (
            0,
            f"No {command} found.\n",
        )


@posix
def test_json_is_json_on_a_terminal_too(written: Written) -> None:
    status, text = on_terminal(80, "models", "--json", AITAP_DATABASE_URL=written.url)
    assert status == 0
    assert "gpt-5.2-codex" in json.loads(text)
