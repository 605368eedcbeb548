"""What a dead proxy left open is closed; what a live one has open is left alone."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from peewee import Database

from aitap.storage import recovery
from aitap.storage.checks import problems
from aitap.storage.fields import timestamp_text
from aitap.storage.writer import Writer
from tests.storage.making import ANN, T0, Recording, eventually, interception, prompt, rows, thought, tokens, tool


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def live_pid() -> int:
    return os.getppid()


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is killed."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def left_open(database: Database, **run: Any) -> str:
    """An open interception of a run of a proxy; the id of the interception."""
    values = {"host": platform.node(), "pid": 1, "beat": time.time(), "ended_at": None, **run}
    sql = "INSERT INTO aitap_proxies (id, host, pid, started_at, heartbeat_at, ended_at) VALUES (77, ?, ?, ?, ?, ?)"
    beat = timestamp_text(values["beat"])
    rows(database, sql, values["host"], values["pid"], timestamp_text(T0), beat, values["ended_at"])
    recording = Recording(database)
    record = interception(T0, None, client_session_id="s")
    recording.batch(record)
    recording.writer.close()
    database.execute_sql("UPDATE aibridge_interceptions SET proxy_id = 77")
    return record.id


def outcome(database: Database) -> str:
    return str(rows(database, "SELECT outcome FROM aibridge_interceptions")[0][0])


@pytest.mark.skipif(sys.platform == "win32", reason="there the heartbeat alone decides")
def test_a_dead_process_of_this_host_is_gone_at_once(database: Database, dead_pid: int) -> None:
    left_open(database, pid=dead_pid)
    assert recovery.mark_interrupted(database) == 1
    assert outcome(database) == "interrupted"


def test_a_process_of_our_own_number_is_an_earlier_one(database: Database) -> None:
    left_open(database, pid=os.getpid())
    assert recovery.mark_interrupted(database) == 1


def test_a_live_process_of_this_host_is_left_alone(database: Database, live_pid: int) -> None:
    left_open(database, pid=live_pid)
    assert recovery.mark_interrupted(database) == 0
    assert outcome(database) == "in_flight"


@pytest.mark.parametrize(("age", "gone"), [(5.0, 0), (61.0, 1)])
def test_another_host_lives_by_its_heartbeat(database: Database, age: float, gone: int) -> None:
    left_open(database, host="elsewhere", beat=time.time() - age)
    assert recovery.mark_interrupted(database) == gone


def test_a_run_that_ended_in_good_order_is_gone(database: Database, live_pid: int) -> None:
    left_open(database, pid=live_pid, ended_at=timestamp_text(time.time()))
    assert recovery.mark_interrupted(database) == 1


def test_an_interception_of_no_known_run_is_closed_at_its_start(database: Database) -> None:
    left_open(database)
    database.execute_sql("DELETE FROM aitap_proxies")
    assert recovery.mark_interrupted(database) == 1
    assert rows(database, "SELECT ended_at FROM aibridge_interceptions") == [(timestamp_text(T0),)]


def test_the_end_is_the_last_heartbeat_and_the_session_counts_it(database: Database) -> None:
    left_open(database, host="elsewhere", beat=T0 + 30)
    recovery.mark_interrupted(database)
    assert rows(database, "SELECT ended_at FROM aibridge_interceptions") == [(timestamp_text(T0 + 30),)]
    assert rows(database, "SELECT session_id, interceptions, ended_at FROM aitap_sessions") == [
        ("s", 1, timestamp_text(T0 + 30))
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="there the heartbeat alone decides")
def test_a_process_that_dies_after_the_next_proxy_has_looked_is_found_all_the_same(
    database: Database, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "HEARTBEAT_SECONDS", 0.05)
    left_open(database, pid=other.pid)
    writer = Writer(database)
    writer.start()
    assert writer.flush(60)
    assert outcome(database) == "in_flight"
    other.kill()
    other.wait()
    assert eventually(lambda: outcome(database) == "interrupted")
    assert writer.close()


def test_a_heartbeat_has_stopped_when_it_did_not_move_while_one_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """...whatever the clocks say, and however long nobody could look."""
    ticks = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: ticks)
    lives = recovery.Lives(own=1)
    stopped = timestamp_text(time.time())
    looks = []
    for gap in (0, 20, 20, 500, 20, 20, 20, 20):
        ticks += gap
        moving = timestamp_text(T0 + ticks)
        runs = [(1, platform.node(), os.getpid(), stopped, None), (2, "there", 1, stopped, None)]
        looks.append(lives.gone([*runs, (3, "there", 2, moving if ticks else stopped, None)]))
    assert looks == [set()] * 7 + [{2}]


def test_what_was_ended_is_never_touched(recording: Recording) -> None:
    record = interception(T0)
    recording.batch(record)
    recording.database.execute_sql("DELETE FROM aitap_proxies")
    assert recovery.mark_interrupted(recording.database) == 0
    assert recording.row(record)["outcome"] == "completed"


def test_a_run_taken_for_dead_gives_its_records_their_true_end(database: Database) -> None:
    """...and its session, old and new, counts it once."""
    record_id = left_open(database, host="elsewhere", beat=T0)
    recovery.mark_interrupted(database)
    recording = Recording(database)
    recording.batch(interception(T0, 90.0, id=record_id, client_session_id="t", outcome="completed"))
    recording.writer.close()
    assert outcome(database) == "completed"
    assert rows(database, "SELECT session_id, initiator_id, interceptions FROM aitap_sessions") == [("t", ANN, 1)]


def test_a_writer_proves_that_it_lives_until_it_takes_its_leave(database: Database) -> None:
    begun = timestamp_text(time.time())
    writer = Writer(database)
    writer.start()
    assert writer.flush(60)
    [(host, pid, beat, ended)] = rows(database, "SELECT host, pid, heartbeat_at, ended_at FROM aitap_proxies")
    assert (host, pid, ended) == (platform.node(), os.getpid(), None)
    assert begun <= beat
    assert writer.close()
    assert rows(database, "SELECT ended_at >= heartbeat_at FROM aitap_proxies") == [(1,)]


def test_the_true_end_takes_the_place_of_what_an_interrupted_one_had_told(recording: Recording) -> None:
    said = interception(T0, user_prompts=[prompt("hello")], tool_usages=[tool("a")], model_thoughts=[thought("hm")])
    cut = msgspec.structs.replace(said, outcome="interrupted", token_usages=[tokens("r")])
    recording.batch(cut)
    true = msgspec.structs.replace(
        said,
        token_usages=[tokens("r", output_tokens=50)],
        tool_usages=[tool("a"), tool("b")],
        model_thoughts=[thought("hm, well")],
    )
    recording.restart()
    recording.batch(true)
    counts = [
        rows(recording.database, f"SELECT count(*) FROM aibridge_{table}")[0][0]
        for table in ("user_prompts", "token_usages", "tool_usages", "model_thoughts")
    ]
    assert counts == [1, 1, 2, 1]
    sums = "SELECT sum(usages), sum(output_tokens), sum(tool_calls), sum(prompts) FROM aitap_daily_totals"
    assert rows(recording.database, sums) == [(1, 50, 2, 1)]
    assert not list(problems(recording.database))
