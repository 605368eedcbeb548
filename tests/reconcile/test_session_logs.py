"""Each call of a session log is read once, with its final counts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aitap.reconcile.session_logs import LogReader, log_files
from aitap.reconcile.tokens import Tokens
from tests.reconcile.logs import T0, claude_answer, codex_count, codex_record, codex_start, write

CLAUDE = Tokens(21, 33, 100, 5)
CODEX = Tokens(13, 12, 8, 0)


def test_blocks_of_one_answer_are_one_call_with_its_greatest_counts(tmp_path: Path) -> None:
    lines: list[dict[str, Any] | str] = [
        {"type": "user", "message": {"content": 'say "usage"'}},
        claude_answer(1, output=1, block="thinking"),
        claude_answer(1, output=33),
        claude_answer(1, output=33, block="tool_use"),
        claude_answer(2, at=T0 + 1),
        claude_answer(3, isApiErrorMessage=True),
        {**claude_answer(4), "message": {**claude_answer(4)["message"], "model": "<synthetic>"}},
        '{"type": "assistant", "message": {"usage": {"input_to',
    ]
    reader = LogReader("Claude Code")
    reader.read(write(tmp_path / "projects/p/s1.jsonl", lines))
    assert [(call.response_id, call.request_id, call.session_id, call.tokens) for call in reader.calls] == [
        ("msg_1", "req_1", "s1", CLAUDE),
        ("msg_2", "req_2", "s1", CLAUDE),
    ]
    assert reader.calls[1].at == T0 + 1
    assert reader.broken_lines == 1


def test_a_session_that_was_resumed_and_its_agents_repeat_no_call(tmp_path: Path) -> None:
    write(tmp_path / "projects/p/s1.jsonl", [claude_answer(1), claude_answer(2)])
    write(tmp_path / "projects/p/s2.jsonl", [claude_answer(1), claude_answer(2), claude_answer(3, session="s2")])
    write(tmp_path / "projects/p/s1/subagents/agent-1.jsonl", [claude_answer(4, isSidechain=True)])
    reader = LogReader("Claude Code")
    for path in log_files("Claude Code", tmp_path, 0):
        reader.read(path)
    assert sorted(call.response_id for call in reader.calls) == ["msg_1", "msg_2", "msg_3", "msg_4"]


def test_codex_tells_each_response_by_its_id(tmp_path: Path) -> None:
    lines = [*codex_start(), codex_record(1), codex_count(0), codex_count(1), codex_record(2), codex_count(2)]
    reader = LogReader("Codex")
    for name in ("a", "b"):
        reader.read(write(tmp_path / f"sessions/2026/11/20/rollout-{name}.jsonl", lines))
    assert [(call.response_id, call.session_id, call.model, call.tokens) for call in reader.calls] == [
        ("resp_1", "c1", "gpt-6.1-sol", CODEX),
        ("resp_2", "c1", "gpt-6.1-sol", CODEX),
    ]
    assert reader.without_ids == 0


def test_codex_of_before_tells_counts_that_repeat_without_news(tmp_path: Path) -> None:
    first = [*codex_start(), codex_count(0), codex_count(1), codex_count(1, at=T0 + 1), codex_count(2, at=T0 + 2)]
    fork = [*codex_start("c2"), codex_count(1), codex_count(2, at=T0 + 2), codex_count(3, at=T0 + 9)]
    reader = LogReader("Codex")
    reader.read(write(tmp_path / "rollout-1.jsonl", first))
    reader.read(write(tmp_path / "rollout-2.jsonl", fork))
    assert [(call.session_id, call.at - T0, call.tokens) for call in reader.calls] == [
        ("c1", 0.0, CODEX),
        ("c1", 2.0, CODEX),
        ("c2", 9.0, CODEX),
    ]
    assert reader.without_ids == 5


def test_logs_that_nobody_wrote_to_since_are_left_alone(tmp_path: Path) -> None:
    old = write(tmp_path / "projects/p/old.jsonl", [claude_answer(1)])
    new = write(tmp_path / "projects/p/new.jsonl", [claude_answer(2)])
    os.utime(old, (T0 - 100, T0 - 100))
    os.utime(new, (T0, T0))
    assert log_files("Claude Code", tmp_path, T0 - 1) == [new]
    assert log_files("Codex", tmp_path, 0) == []


def test_odd_lines_cost_only_themselves(tmp_path: Path) -> None:
    odd = [
        '["token_count"]',
        '{"type": "token_usage_record"}',
        '{"type": "event_msg", "timestamp": 7, "payload": {"type": "token_count", "info": {"last_token_usage": 1}}}',
        '{"type": "token_usage_record", "timestamp": "yesterday", "payload": {"usage": []}}',
        '{"type": "assistant", "timestamp": "2026-11-20T00:00:00Z", "message": {"usage": {"input_tokens": "x"}}}',
    ]
    path = write(tmp_path / "rollout-1.jsonl", [*odd, *codex_start(), codex_record(1)])
    reader = LogReader("Codex")
    reader.read(path)
    assert [call.response_id for call in reader.calls] == ["resp_1"]
    other = LogReader("Claude Code")
    other.read(path)
    assert other.calls == []
