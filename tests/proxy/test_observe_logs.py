"""Each record is told in the log of a real proxy, whatever becomes of the database, and no credential is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.observe.logfmt import parse
from tests.proxy.client import ANTHROPIC, OPENAI, exchange
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.test_secrets import HEADERS, QUERY, SECRET, refused
from tests.proxy.upstream import Upstream, answer, in_turn
from tests.proxy.wire import CHAT, MESSAGES, ask_chat, ask_messages, message_sse

EVENTS = "text/event-stream"
CALL = ("toolu_1", "weather", {"city": "Paris"})
RESULT = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}]
KINDS = [*("interception_start", "prompt_usage", "token_usage", "tool_usage", "model_thought", "interception_end")]

Start = Callable[..., Mitmdump]


def switched(**settings: str) -> tuple[str, ...]:
    """What goes to mitmdump so that these are set."""
    words = {"structured_logging": "true", **settings}
    return tuple(word for name, value in words.items() for word in ("--set", f"aitap_{name}={value}"))


def told(path: Path, count: int) -> list[dict[str, Any]]:
    """So many JSON lines of a log, once they are there."""

    def lines() -> list[Any] | None:
        found = [line for line in path.read_text().splitlines() if line.startswith("{")] if path.exists() else []
        return [json.loads(line) for line in found] if len(found) >= count else None

    return until(lines, f"{count} lines in {path.name}")


def test_a_turn_is_told_on_standard_error_with_the_thread_that_it_continues(
    start_proxy: Start, upstream: Upstream
) -> None:
    proxy = start_proxy(arguments=switched())
    upstream.serve(
        in_turn(
            answer(message_sse("msg_1", thinking="Let me see", call=CALL), EVENTS),
            answer(message_sse("msg_2", text="Sunny"), EVENTS),
        )
    )
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
    lines = told(proxy.log, 6)
    assert [line["record_type"] for line in lines] == KINDS
    assert {line["msg"] for line in lines} == {"interception log"}
    assert lines[1]["prompt"] == "hi"
    assert (lines[3]["tool"], json.loads(lines[3]["input"])) == ("weather", {"city": "Paris"})
    assert (lines[5]["outcome"], lines[5]["status_code"]) == ("completed", 200)

    record = proxy.record()
    followed = json.dumps([{"role": "user", "content": RESULT}])
    body = json.loads(ask_messages("hi", stream=True)) | {"messages": json.loads(followed)}
    exchange(proxy, ANTHROPIC, MESSAGES, json.dumps(body).encode())
    start = told(proxy.log, 9)[6]
    assert (start["record_type"], start["correlating_tool_call_id"]) == ("interception_start", "toolu_1")
    assert start["thread_parent_id"] == start["thread_root_id"] == record["id"]


def test_lines_come_while_the_database_is_locked(start_proxy: Start, upstream: Upstream, tmp_path: Path) -> None:
    proxy = start_proxy(arguments=switched(log_to=str(tmp_path / "aitap.log")))
    upstream.serve(answer(message_sse("msg_1", text="Hello"), EVENTS))
    with closing(sqlite3.connect(proxy.database)) as other:
        other.execute("BEGIN IMMEDIATE")
        exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
        assert told(tmp_path / "aitap.log", 4)[-1]["outcome"] == "completed"
        assert not proxy.all_records()
        other.rollback()
    assert proxy.record()["outcome"] == "completed"


def test_minimal_capture_tells_no_text_in_logfmt_either(start_proxy: Start, upstream: Upstream, tmp_path: Path) -> None:
    log = tmp_path / "aitap.log"
    proxy = start_proxy(arguments=switched(log_to=str(log), log_format="logfmt", capture="minimal"))
    upstream.serve(answer(message_sse("msg_1", thinking="pondering", call=CALL), EVENTS))
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("what weather", stream=True))
    until(lambda: log.exists() and log.read_text().count("\n") == 6, "six lines")
    lines = [parse(line) for line in log.read_text().splitlines()]
    assert [line["record_type"] for line in lines] == KINDS
    for word in ("what weather", "pondering", "Paris"):
        assert word not in log.read_text()


def test_the_log_is_put_aside_when_it_is_long(start_proxy: Start, upstream: Upstream, tmp_path: Path) -> None:
    log = tmp_path / "aitap.log"
    proxy = start_proxy(arguments=switched(log_to=str(log), log_size="4k", log_files="2"))
    upstream.serve(answer(message_sse("msg_1", text="Hello"), EVENTS))
    for _ in range(10):
        exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
    proxy.stop()
    assert sorted(path.name for path in tmp_path.glob("aitap.log*")) == ["aitap.log", "aitap.log.1", "aitap.log.2"]
    assert max(path.stat().st_size for path in tmp_path.glob("aitap.log*")) <= 4096


def test_no_credential_is_told(start_proxy: Start, upstream: Upstream, tmp_path: Path) -> None:
    log = tmp_path / "aitap.log"
    proxy = start_proxy(arguments=switched(log_to=str(log)))
    upstream.serve(refused)
    exchange(proxy, OPENAI, CHAT + QUERY, ask_chat("hi"), **HEADERS)
    assert told(log, 3)[-1]["error_type"] == "unauthorized"
    proxy.stop()
    assert SECRET not in log.read_text()
    assert SECRET not in proxy.said()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"log_format": "xml"}, "choose one of json, logfmt, human"),
        ({"structured_logging": "perhaps"}, "write true or false"),
        ({"trace_logs": "true"}, "set trace_enable = true, too"),
        ({"log_to": "/no/such/folder/aitap.log"}, "there is no folder /no/such/folder"),
    ],
)
def test_a_setting_that_cannot_be_met_is_one_line(start_proxy: Start, settings: dict[str, str], says: str) -> None:
    with pytest.raises(AssertionError, match="the proxy ended with") as ended:
        start_proxy(arguments=switched(**settings))
    assert says in str(ended.value)
    assert "Traceback" not in str(ended.value)
