"""What was said is shown where it was captured: whole in JSON, cut on a terminal unless asked for in full."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aitap.access.identity import local_user
from aitap.capture.environment import Environment
from aitap.export import cli
from aitap.record import Interception
from aitap.storage.database import open_database
from tests.capture.making import MESSAGES, message_events, record, sse
from tests.export.sample import write
from tests.export.terminal import on_terminal

LONG = "line of a long file\n" * 200
posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo terminal")
THOUGHT = {"type": "thinking", "thinking": "", "signature": ""}
CALL = {"type": "tool_use", "id": "t1", "name": "Read", "input": {}}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def session() -> list[Interception]:
    """A prompt, a tool call with a long result, an answer; in one session."""
    environment = Environment(local_user()[0], "full")
    headers = {"user-agent": "claude-cli/2.1.3 (external, cli)", "x-claude-code-session-id": "f3b9a6c2"}
    first: list[Any] = [{"role": "user", "content": "What is in \x1b[31ma.txt?"}]
    use = {**CALL, "input": {"file_path": "a.txt"}}
    answered = {"type": "tool_result", "tool_use_id": "t1", "content": LONG, "is_error": True}
    second = [*first, {"role": "assistant", "content": [text("I look."), use]}, {"role": "user", "content": [answered]}]
    pieces = [
        (THOUGHT, [{"type": "thinking_delta", "thinking": "Better look."}]),
        (text(""), [{"type": "text_delta", "text": "I look."}]),
        (CALL, [{"type": "input_json_delta", "partial_json": '{"file_path": "a.txt"}'}]),
    ]
    last = [(text(""), [{"type": "text_delta", "text": "Nothing new."}])]
    return [
        record(
            MESSAGES,
            {"model": "m", "system": "Be kind", "tools": [{"name": "Read"}], "messages": messages},
            sse(MESSAGES, message_events(answer)),
            environment=environment,
            headers=headers,
            at=time.time() - 60 + number * 10,
        )
        for number, (messages, answer) in enumerate([(first, pieces), (second, last)])
    ]


@pytest.fixture
def records() -> list[Interception]:
    return session()


@pytest.fixture
def url(records: list[Interception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/aitap.db"
    write(url, records)
    monkeypatch.setenv("AITAP_DATABASE_URL", url)
    return url


def run(*args: str, status: int = 0) -> Result:
    result = CliRunner().invoke(cli.main, list(args))
    assert result.exit_code == status, result.output
    return result


def screen(*args: str) -> str:
    status, shown = on_terminal(120, *args)
    assert status == 0, shown
    return shown


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


def test_a_session_has_each_message_once_in_order(url: str, records: list[Interception]) -> None:
    found = json.loads(run("sessions", "show", records[0].id).stdout)
    assert roles(found["messages"]) == ["system", "tools", "user", "assistant", "tool", "assistant"]
    assert [message["interception_id"] for message in found["messages"]] == [records[0].id] * 4 + [records[1].id] * 2
    assert found["messages"][4]["content"][0]["content"] == [text(LONG)]


def test_an_interception_has_all_of_its_conversation(url: str, records: list[Interception]) -> None:
    found = json.loads(run("interceptions", "show", records[1].id).stdout)
    assert roles(found["messages"]) == ["system", "tools", "user", "assistant", "tool", "assistant"]
    assert found["messages"][-1]["digest"] == found["response_digest"]
    assert found["messages"][-2]["digest"] == found["request_digest"]


@pytest.mark.parametrize("what", ["interceptions", "sessions"])
def test_an_export_has_contents_only_if_asked_for(url: str, what: str) -> None:
    assert all("messages" not in json.loads(line) for line in run("export", what).stdout.splitlines())
    *_, last = run("export", what, "--contents").stdout.splitlines()
    assert roles(json.loads(last)["messages"]) == ["system", "tools", "user", "assistant", "tool", "assistant"]


def test_csv_has_no_place_for_contents(url: str) -> None:
    assert "--contents" in run("export", "--contents", "--format", "csv", status=2).stderr


@posix
def test_the_whole_conversation_is_printed(url: str, records: list[Interception]) -> None:
    shown = screen("sessions", "show", records[0].id)
    words = [
        "user What is in [31ma.txt?",
        "thought Better look.",
        "assistant I look.",
        'call Read {"file_path":"a.txt"}',
        "error line of a long file",
        "assistant Nothing new.",
    ]
    places = [shown.index(word) for word in words]
    assert places == sorted(places)
    assert "2,800 more characters: --full shows all" in shown
    assert shown.count("long file") < 100
    assert "Be kind" not in shown
    assert "\x1b[31ma" not in shown


@posix
def test_in_full_nothing_is_cut(url: str, records: list[Interception]) -> None:
    shown = screen("sessions", "show", records[0].id, "--full")
    assert shown.count("line of a long file") == 200
    assert "more characters" not in shown
    assert "system Be kind" in shown


@posix
def test_an_interception_shows_its_answer(url: str, records: list[Interception]) -> None:
    shown = screen("interceptions", "show", records[0].id)
    assert shown.split("Answer")[1].split()[:2] == ["I", "look."]
    assert "Nothing new." in screen("interceptions", "show", records[1].id)


def test_what_a_title_request_said_first_stands_with_the_prompt(url: str, records: list[Interception]) -> None:
    database = open_database(url)
    database.execute_sql("UPDATE aibridge_interceptions SET purpose = 'auxiliary' WHERE id = ?", (records[0].id,))
    database.close()
    found = json.loads(run("sessions", "show", records[0].id).stdout)
    assert {message["interception_id"] for message in found["messages"]} == {records[1].id}


def test_prune_counts_what_loses_contents_apart_from_what_goes(url: str) -> None:
    shown = run("prune", "--older-than", "55s", "--contents-older-than", "1s").stdout
    assert [line.split(" from ")[0] for line in shown.splitlines()] == [
        "1 interception",
        "contents of 1 interception",
    ]


def test_prune_drops_contents_and_keeps_facts(url: str, records: list[Interception]) -> None:
    would = run("prune", "--older-than", "9999w", "--contents-older-than", "1s", "--dry-run").stdout
    done = run("prune", "--older-than", "9999w", "--contents-older-than", "1s").stdout
    assert would.replace("would be removed", "removed") == done
    found = json.loads(run("sessions", "show", records[0].id).stdout)
    assert found["interceptions"] == 2
    assert run("db", "check").stdout == "ok\n"


def test_check_tells_of_a_changed_message(url: str) -> None:
    database = open_database(url)
    database.execute_sql("UPDATE aitap_messages SET content = replace(content, 'Nothing new', 'Something')")
    database.close()
    assert "its digest differs" in run("db", "check", status=1).stderr
