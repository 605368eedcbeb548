"""What is submitted is written, whatever the database does, and what is lost is counted."""

from __future__ import annotations

import copy
import logging
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import peewee
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peewee import SqliteDatabase

from aitap.record import Interception, TokenUsage, ToolUsage
from aitap.storage import models, sessions
from aitap.storage.database import open_database, transaction
from aitap.storage.writer import Writer
from tests.storage.making import (
    ANN,
    T0,
    Recording,
    database_in,
    eventually,
    everything,
    interception,
    lineage,
    other_connection,
    prompt,
    rows,
    thought,
    tokens,
    tool,
)


def count(database: SqliteDatabase, table: str = "aibridge_interceptions") -> int:
    return int(rows(database, f"SELECT count(*) FROM {table}")[0][0])


def full_record() -> Interception:
    """One in which every column has a value of its own."""
    return Interception(
        initiator_id=ANN,
        api_key_id="key",
        provider="anthropic",
        provider_name="work",
        model="claude-opus-4-8",
        client="Claude Code",
        client_version="2.1",
        client_session_id="s",
        started_at=T0 + 0.123456,
        ended_at=T0 + 9.5,
        metadata={"left_out": {"system-reminder": 2}},
        credential_kind="byok_api_key",
        credential_hint="sk-a...wxyz",
        error_type="overloaded",
        error_message="Overloaded",
        last_prompt_at=T0 + 1,
        user_agent="claude-cli/2.1",
        api="anthropic.messages",
        method="POST",
        host="api.anthropic.com",
        path="/v1/messages",
        http_version="HTTP/2.0",
        status_code=529,
        streaming=True,
        response_model="claude-opus-4-8-20260901",
        provider_request_id="req_1",
        client_request_id="cr_1",
        stop_reason="end_turn",
        time_to_first_token=0.25,
        duration=9.4,
        request_bytes=1 << 40,
        response_bytes=7,
        outcome="failed",
        purpose="auxiliary",
        capture="minimal",
        token_usages=[
            TokenUsage(
                provider_response_id="msg_1",
                input_tokens=1,
                output_tokens=2,
                cache_read_input_tokens=3,
                cache_write_input_tokens=4,
                metadata={"partial": True},
                provider_model="m",
                created_at=T0 + 2,
            )
        ],
        user_prompts=[prompt("why?")],
        tool_usages=[
            ToolUsage(
                provider_response_id="msg_1",
                tool="Bash",
                input='{"command": "ls"}',
                kind="mcp",
                provider_tool_call_id="toolu_1",
                provider_item_id="item_1",
                server_url="https://mcp.example",
                injected=True,
                invocation_error="no",
                result_status="error",
                result_at=T0 + 4,
                result_bytes=5,
                metadata={"server": "x"},
                created_at=T0 + 3,
            )
        ],
        model_thoughts=[thought("hm")],
    )


def test_every_field_of_a_record_reaches_its_column(writer: Writer, database: SqliteDatabase) -> None:
    record = full_record()
    expected = copy.deepcopy(record)
    writer.submit(record)
    assert writer.flush(60)
    pairs: list[tuple[Any, list[Any]]] = [
        (models.Interception, [expected]),
        (models.TokenUsage, expected.token_usages),
        (models.UserPrompt, expected.user_prompts),
        (models.ToolUsage, expected.tool_usages),
        (models.ModelThought, expected.model_thoughts),
    ]
    filled_by_storage = {"session_id": "s"}
    for model, [value] in pairs:
        stored = model.get_by_id(value.id)
        for name in model._meta.fields.keys() & set(value.__struct_fields__) - filled_by_storage.keys():
            given, found = getattr(value, name), getattr(stored, name)
            assert (found.timestamp() if name.endswith("_at") and found else found) == (given or None), name
        assert getattr(stored, "interception_id", expected.id) == expected.id
    assert rows(database, "SELECT session_id FROM aibridge_interceptions") == [("s",)]


def test_unknown_is_null(writer: Writer, database: SqliteDatabase) -> None:
    writer.submit(interception(T0, None, tool_usages=[tool(None)], token_usages=[tokens()]))
    assert writer.flush(60)
    unknown = "client, ended_at, error_type, status_code, duration, retry_of, metadata, thread_root_id"
    assert rows(database, f"SELECT {unknown} FROM aibridge_interceptions") == [(None,) * 8]
    unknown = "provider_tool_call_id, result_status, result_at, result_bytes, metadata"
    assert rows(database, f"SELECT {unknown} FROM aibridge_tool_usages") == [(None,) * 5]


def test_a_start_is_seen_before_its_end_and_the_end_replaces_it(recording: Recording) -> None:
    early = prompt("hi", response="")
    start = interception(T0, None, user_prompts=[early])
    recording.batch(start)
    assert recording.row(start)["outcome"] == "in_flight"
    late = msgspec.structs.replace(early, provider_response_id="msg_9")
    recording.batch(interception(T0, id=start.id, user_prompts=[late], error_type="timeout"))
    assert recording.row(start)["outcome"] == "completed"
    assert recording.row(start)["error_type"] == "timeout"
    assert rows(recording.database, "SELECT provider_response_id FROM aibridge_user_prompts") == [("msg_9",)]


def test_a_start_that_comes_after_its_end_changes_nothing(recording: Recording) -> None:
    end = interception()
    recording.batch(end)
    before = everything(recording.database)
    recording.batch(interception(T0, None, id=end.id))
    assert everything(recording.database) == before


def test_start_and_end_in_one_batch_are_one_row(recording: Recording) -> None:
    start = interception(T0, None)
    recording.batch(start, interception(T0, id=start.id))
    assert recording.row(start)["outcome"] == "completed"
    stats = recording.writer.stats
    assert (stats.submitted, stats.written, stats.lost, stats.queued) == (2, 2, 0, 0)


STEPS = st.tuples(
    st.sampled_from([None, "s"]),
    st.sampled_from(["conversation", "auxiliary"]),
    st.sampled_from(["completed", "failed"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1),
)


def story(steps: list[Any]) -> list[Interception]:
    """Ends, some after a start, with children of all kinds, each answering the one before or not."""
    items: list[Interception] = []
    for number, (session, purpose, outcome, retry, started, some) in enumerate(steps):
        at = T0 + 10 * number
        record = interception(
            at,
            client_session_id=session,
            purpose=purpose,
            outcome=outcome,
            user_prompts=[prompt(f"prompt {number}", at)] * some,
            token_usages=[tokens(f"msg_{number}", at)],
            tool_usages=[tool(f"call-{number}", at=at)],
            model_thoughts=[thought("hm", at)] * some,
            lineage=lineage(*[f"call-{number - 1}"] * some),
            retry_of=items[-1].id if retry and items else None,
        )
        if started:
            start: dict[str, Any] = {"ended_at": None, "outcome": "in_flight", "tool_usages": [], "token_usages": []}
            items.append(msgspec.structs.replace(record, **start))
        items.append(record)
    return items


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, min_size=1, max_size=6), restart=st.booleans(), at=st.integers(0, 6))
def test_replaying_changes_nothing(steps: list[Any], restart: bool, at: int) -> None:
    """Batches that were written before, also by a writer before this one, may come again."""
    items = story(steps)
    batches = [part for part in (items[:at], items[at:]) if part]
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording(database_in(Path(folder)))
        for batch in copy.deepcopy(batches):
            recording.batch(*batch)
        before = everything(recording.database)
        if restart:
            recording.restart()
        for batch in copy.deepcopy(batches):
            recording.batch(*batch)
        after = everything(recording.database)
        recording.writer.close()
        recording.database.close()
    # A replay by another run of the proxy is that run's.
    assert [row[:-1] for row in after.pop("aibridge_interceptions")] == [
        row[:-1] for row in before.pop("aibridge_interceptions")
    ]
    assert after == before


def test_flush_covers_all_that_was_submitted_before_from_any_thread(database: SqliteDatabase) -> None:
    writer = Writer(database, flush_interval=30.0)
    writer.start()
    threads = [threading.Thread(target=lambda: [writer.submit(interception()) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush(60)
    assert count(database) == 2000
    assert writer.stats.written == 2000
    assert writer.close()


def test_close_writes_what_is_queued_and_later_records_are_counted_as_lost(database: SqliteDatabase) -> None:
    writer = Writer(database, flush_interval=30.0)
    writer.start()
    for _ in range(10):
        writer.submit(interception())
    assert writer.close()
    assert count(database) == 10
    assert not writer.submit(interception())
    assert (writer.stats.written, writer.stats.lost, writer.stats.queued) == (10, 1, 0)
    assert writer.close()


def test_an_overflow_is_counted_and_told_once_a_burst(
    database: SqliteDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(database, flush_interval=0.0, queue_limit=3)
    assert [writer.submit(interception()) for _ in range(6)] == [True] * 3 + [False] * 3
    assert (writer.stats.submitted, writer.stats.lost, writer.stats.queued) == (6, 3, 3)
    assert len(caplog.records) == 1
    assert "LOST" in caplog.text
    writer.start()
    assert writer.flush(60)
    assert writer.submit(interception())
    assert writer.close()
    assert "3 were lost" in caplog.text
    assert count(database) == 4
    assert writer.stats.submitted == writer.stats.written + writer.stats.lost == 7


@pytest.mark.sqlite
def test_a_locked_database_is_tried_again_and_nothing_is_lost(
    database: SqliteDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    database.timeout = 0.05
    writer = Writer(database, flush_interval=0.0)
    writer.start()
    assert writer.flush(60)
    other = other_connection(database)
    other.execute("BEGIN IMMEDIATE")
    for number in range(20):
        writer.submit(interception(T0 + number))
    assert eventually(lambda: writer.stats.retries >= 2)
    assert writer.stats.written == 0
    assert not writer.flush(0.05)
    other.execute("ROLLBACK")
    assert writer.flush(60)
    assert count(database) == 20
    assert (writer.stats.written, writer.stats.lost) == (20, 0)
    assert writer.close()
    other.close()
    assert [record.levelname for record in caplog.records if record.name == "aitap.storage.trouble"] == ["ERROR"] * 2


@pytest.mark.sqlite
def test_other_processes_write_between_the_steps_of_the_retention(
    database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: who asks for the lock waits for a few of them at most."""
    steps = 0
    busy = threading.Event()

    def slices(database: SqliteDatabase, *_: float) -> Iterator[int]:
        nonlocal steps
        while True:
            with transaction(database):
                busy.wait(0.02)
            steps += 1
            yield 0

    monkeypatch.setattr("aitap.storage.writer.prune_slices", slices)
    other = open_database(f"sqlite:///{tmp_path}/aitap.db")
    writer = Writer(database, flush_interval=0.0, retention=1.0)
    writer.start()
    assert eventually(lambda: steps > 0)
    waited = []
    for _ in range(15):
        busy.wait(0.01)  # somewhere within a step
        before = steps
        with transaction(other):
            waited.append(steps - before)
    other.close()
    assert writer.close()
    assert sorted(waited)[len(waited) // 2] <= 4


@pytest.mark.parametrize("error", [peewee.OperationalError, peewee.DatabaseError, peewee.InternalError])
def test_a_batch_that_is_tried_again_is_whole(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """What the first attempt worked out in memory is written by the second."""
    first = interception(T0, tool_usages=[tool("x")], user_prompts=[prompt("hi")], client_session_id="s")
    recording.batch(first)
    failed = interception(T0 + 2, outcome="failed", lineage=lineage("x", history=["h"]))
    again = interception(T0 + 6, retry_of=failed.id)

    add_ended, failures = sessions.add_ended, iter([error("disk I/O error")])

    def failing_once(*arguments: Any) -> None:
        for failure in failures:
            raise failure
        add_ended(*arguments)

    monkeypatch.setattr(sessions, "add_ended", failing_once)
    recording.batch(failed, again)
    assert recording.writer.stats.retries == 1
    assert recording.row(again)["thread_parent_id"] == first.id
    assert rows(recording.database, "SELECT result_status FROM aibridge_tool_usages") == [("ok",)]
    assert count(recording.database, "aitap_histories") == 1
    sql = "SELECT sum(interceptions), sum(prompts) FROM aitap_sessions"
    assert rows(recording.database, sql) == [(3, 1)]


@pytest.mark.sqlite
def test_a_full_disk_keeps_the_batch_until_there_is_room(database: SqliteDatabase) -> None:
    database.pragma("max_page_count", 120, permanent=True)
    writer = Writer(database, flush_interval=0.0)
    writer.start()
    for number in range(100):
        writer.submit(interception(T0 + number, user_prompts=[prompt("x" * 10_000)]))
    assert eventually(lambda: writer.stats.retries >= 2)
    kept = writer.stats.written
    assert kept + writer.stats.queued == 100
    assert count(database) == kept
    database.pragma("max_page_count", 1 << 30, permanent=True)
    assert writer.flush(60)
    assert count(database) == 100
    assert writer.stats.lost == 0
    assert writer.close()
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.sqlite
def test_closing_while_the_database_is_locked_ends_in_time_and_counts_the_rest(
    database: SqliteDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    database.timeout = 0.05
    writer = Writer(database, flush_interval=0.0)
    writer.start()
    assert writer.flush(60)
    other = other_connection(database)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(5):
        writer.submit(interception())
    assert not writer.close(timeout=0.2)
    assert (writer.stats.written, writer.stats.lost, writer.stats.queued) == (0, 5, 0)
    assert "last 5 records" in caplog.text
    other.close()


def test_one_bad_record_does_not_hold_up_the_others(recording: Recording, caplog: pytest.LogCaptureFixture) -> None:
    records = [interception(T0 + number) for number in range(20)]
    records[7].request_bytes = 1 << 70
    records[12].model = None  # type: ignore[assignment]
    records[15].lineage = None  # type: ignore[assignment]
    with caplog.at_level(logging.ERROR):
        recording.batch(*records)
    assert count(recording.database) == 17
    assert (recording.writer.stats.written, recording.writer.stats.lost) == (17, 3)
    for bad in (7, 12, 15):
        assert records[bad].id in caplog.text
    assert rows(recording.database, "SELECT sum(interceptions) FROM aitap_sessions") == [(17,)]


def test_text_cut_within_a_character_is_stored(recording: Recording) -> None:
    record = interception(user_prompts=[prompt("smile \ud83d")], metadata={"\udfff": ["\ud83d"]}, user_agent="\ud83d")
    recording.batch(record, interception(T0 + 1))
    assert rows(recording.database, "SELECT prompt FROM aibridge_user_prompts") == [("smile ?",)]
    assert recording.row(record)["metadata"] == {"?": ["?"]}
    assert recording.writer.stats.lost == 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_as_it_was(recording: Recording, text: str) -> None:
    record = interception(tool_usages=[tool("x", text)], user_prompts=[prompt(text)], metadata={text: text})
    recording.batch(record)
    if not isinstance(recording.database, SqliteDatabase):
        text = text.replace("\0", "\ufffd")
    assert recording.row(record)["metadata"] == {text: text}
    sql = "SELECT p.prompt, t.input FROM aibridge_user_prompts p JOIN aibridge_tool_usages t USING (interception_id)"
    assert rows(recording.database, f"{sql} WHERE interception_id = ?", record.id) == [(text, text)]


KILLED = """
import sys, time
from aitap.storage.database import open_database
from aitap.storage.writer import Writer
from tests.storage.making import interception, prompt, tokens

writer = Writer(open_database(sys.argv[1], migrate=True), flush_interval=0.02)
writer.start()
number = 0
while True:
    start = interception(time.time(), None, user_prompts=[prompt(str(number))])
    writer.submit(start)
    if number % 3:
        writer.submit(interception(start.started_at, 0.0, id=start.id, token_usages=[tokens()]))
    number += 1
    if number % 50 == 0:
        flushed = writer.flush(60)
        print(number, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_process_leaves_a_sound_database_and_the_next_start_closes_what_was_open(tmp_path: Path) -> None:
    """What was flushed is there, and nobody has to lend a hand."""
    url = f"sqlite:///{tmp_path}/aitap.db"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    flushed = 0
    while flushed < 1000:
        flushed = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    with sqlite3.connect(tmp_path / "aitap.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    database = open_database(url, migrate=True)
    open_before = rows(database, "SELECT count(*) FROM aibridge_interceptions WHERE ended_at IS NULL")[0][0]
    assert open_before >= flushed // 3
    writer = Writer(database)
    writer.start()
    assert writer.flush(60)
    outcomes = dict(rows(database, "SELECT outcome, count(*) FROM aibridge_interceptions GROUP BY outcome"))
    assert outcomes["interrupted"] == open_before
    assert sum(outcomes.values()) >= flushed
    assert rows(database, "SELECT sum(interceptions) FROM aitap_sessions") == [(sum(outcomes.values()),)]
    assert writer.close()
    database.close()


def test_an_id_that_no_index_takes_costs_its_record_and_not_those_after_it(recording: Recording) -> None:
    letters = Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=70_000)
    odd, next_one = interception(T0, tool_usages=[tool("".join(letters))]), interception(T0 + 1)
    recording.writer.submit(odd)
    recording.writer.submit(next_one)
    assert recording.writer.flush(60)
    found = {own_id for (own_id,) in rows(recording.database, "SELECT CAST(id AS TEXT) FROM aibridge_interceptions")}
    assert next_one.id in found
    assert len(found) + recording.writer.stats.lost == 2
