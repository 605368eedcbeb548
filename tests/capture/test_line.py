"""The recorder process, seen from the proxy, with a real process at the other end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aitap.capture import line as module
from aitap.capture.line import RecorderLine
from aitap.capture.recorder import RecorderSettings
from aitap.capture.relay import BEGIN, CLOSE, DATA, END, MESSAGE, OPEN, RESPOND, SEEN
from aitap.capture.routes import Router
from aitap.storage.database import open_database
from aitap.storage.queries import Filter, list_interceptions
from aitap.storage.spool.folders import make_folder
from aitap.storage.spool.ledger import Ledger
from aitap.storage.spool.own import SpoolSettings
from tests.capture.making import MESSAGES, answers, dump, response_events, sse, user

STREAM = sse(MESSAGES, answers(MESSAGES))


def exchange(number: int, body: bytes | None = None, *, ended: bool = True) -> list[Any]:
    route = Router().route("api.anthropic.com", "/v1/messages")
    body = body or dump({"model": "m", "stream": True, "messages": [user("do it")]})
    at = time.time()
    head = (route, "POST", "api.anthropic.com", "/v1/messages", "", "HTTP/1.1", ((b"x-api-key", b"sk-a"),), at)
    items: list[Any] = [
        (BEGIN, number, at, head, body),
        (RESPOND, number, at, 200, ((b"content-type", b"text/event-stream"),)),
        (DATA, number, at, STREAM),
    ]
    return [*items, (END, number, at, None, False)] if ended else items


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/records.db"
    open_database(url, migrate=True).close()
    return url


def settings(url: str) -> RecorderSettings:
    return RecorderSettings(
        database_url=url,
        initiator_id="me",
        capture="metadata+prompt",
        retention=0,
        content_retention=0,
        flush_interval=0.1,
    )


def recorded(url: str) -> list[dict[str, Any]]:
    return list_interceptions(open_database(url), Filter(), limit=100)


async def until(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_what_is_handed_over_is_recorded_by_the_time_the_line_is_closed(database: str) -> None:
    async def run() -> bool:
        line = RecorderLine(settings(database), asyncio.get_running_loop())
        line.send(exchange(1))
        return line.close(20)

    assert asyncio.run(run())
    assert [record["outcome"] for record in recorded(database)] == ["completed"]


def test_bodies_larger_than_the_kernels_buffer_come_through_whole(database: str) -> None:
    body = dump({"model": "m", "stream": True, "messages": [user("x" * 3_000_000)]})

    async def run() -> bool:
        line = RecorderLine(settings(database), asyncio.get_running_loop())
        for number in range(3):
            line.send(exchange(number, body))
        return line.close(20)

    assert asyncio.run(run())
    assert [record["request_bytes"] for record in recorded(database)] == [len(body)] * 3


def test_what_is_open_when_the_line_ends_is_interrupted(database: str) -> None:
    async def run() -> None:
        line = RecorderLine(settings(database), asyncio.get_running_loop())
        line.send(exchange(1)[:2])
        line.close(20)

    asyncio.run(run())
    assert [record["outcome"] for record in recorded(database)] == ["interrupted"]


def test_what_a_killed_recorder_had_not_stored_is_given_to_the_next_with_what_comes_meanwhile(
    database: str, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "spool", database)
    ledger = Ledger(folder.ledger)
    spool = SpoolSettings(str(tmp_path / "spool"), str(folder.path), 1 << 20, sync=False)
    lazy = msgspec.structs.replace(settings(database), flush_interval=60.0, spool=spool)

    async def run() -> RecorderLine:
        line = RecorderLine(lazy, asyncio.get_running_loop(), ledger, folder)
        ledger.begun(2)
        line.send(exchange(1))
        line.send(exchange(2, ended=False))
        await until(lambda: ledger.opened_so_far == 2)
        os.kill(line._process.pid, signal.SIGKILL)
        await until(lambda: line.deaths)
        ledger.begun(4)
        line.send(exchange(4))
        first = line._process.pid
        await until(lambda: line._process.pid != first)
        line.send([*exchange(5), (END, 2, time.time(), None, False)])
        assert line.close(20)
        return line

    assert asyncio.run(run()).lost == 0
    assert ledger.settle() == 0
    assert [record["outcome"] for record in recorded(database)] == ["completed"] * 4


def test_what_two_recorders_store_of_one_exchange_is_one_record(database: str) -> None:
    url = database

    async def run() -> bool:
        line = RecorderLine(settings(url), asyncio.get_running_loop())
        line.held.let_go = lambda needed, wanted: None  # type: ignore[method-assign] # nobody said that it is safe
        line.send(exchange(1))
        line.send(exchange(2, ended=False))
        await until(lambda: line.report.get("written") == 2)
        os.kill(line._process.pid, signal.SIGKILL)
        await until(lambda: line.deaths)
        assert not line.lost
        line.send([(END, 2, time.time(), None, False)])
        return line.close(20)

    assert asyncio.run(run())
    found = recorded(url)
    assert [record["outcome"] for record in found] == ["completed"] * 2
    assert [len(record["user_prompts"]) for record in found] == [1, 1]
    assert [len(record["tool_usages"]) for record in found] == [2, 2]


def test_a_recorder_that_is_killed_at_the_very_end_leaves_what_is_held_to_another(
    database: str, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "ledger")

    async def run() -> RecorderLine:
        line = RecorderLine(settings(database), asyncio.get_running_loop(), ledger)
        ledger.begun(1)
        line.send(exchange(1))
        os.kill(line._process.pid, signal.SIGKILL)
        assert line.close(60)
        return line

    line = asyncio.run(run())
    assert (line.deaths, line.lost) == (1, 0)
    assert [record["outcome"] for record in recorded(database)] == ["completed"]


def test_what_every_recorder_dies_of_is_given_up_and_counted(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    child = module._CHILD
    monkeypatch.setattr(module, "_RESTART_AFTER", 0.0)
    monkeypatch.setattr(
        module, "_CHILD", "import os, sys; os.read(int(sys.argv[1]), 1 << 20); assert {root!r}; os._exit(9)"
    )

    async def run() -> int:
        line = RecorderLine(settings(database), asyncio.get_running_loop(), ledger)
        ledger.begun(1)
        line.send(exchange(1))
        await until(lambda: line.lost)
        monkeypatch.setattr(module, "_CHILD", child)
        deaths = line.deaths
        ledger.begun(2)
        line.send(exchange(2))
        await until(lambda: line.report.get("written"))
        assert line.lost == 1
        line.close(20)
        return deaths

    assert asyncio.run(run()) == module._TRIES
    assert len(recorded(database)) == 1


def test_what_a_recorder_cannot_read_costs_only_itself(database: str) -> None:
    async def run() -> RecorderLine:
        line = RecorderLine(settings(database), asyncio.get_running_loop())
        rubbish = (SEEN, 0, time.time(), {"no": "host"})
        first, *rest = exchange(1)
        line.send([rubbish, first, rubbish, *rest])
        line.send(exchange(2))
        await until(lambda: line.report.get("wanted") == 2)
        assert line.close(20)
        return line

    assert asyncio.run(run()).deaths == 0
    assert [record["outcome"] for record in recorded(database)] == ["completed", "completed"]


def test_a_socket_that_outlives_a_recorder_is_recorded_by_the_next(database: str) -> None:
    asked = dump({"type": "response.create", "model": "m", "input": "do it"})
    said = [dump(event) for event in response_events()]
    route = Router().route("api.openai.com", "/v1/responses")
    at = time.time()
    opened = (OPEN, 1, at, (route, "GET", "api.openai.com", "/v1/responses", "", "HTTP/1.1", (), at))

    def turn(at: float) -> list[Any]:
        return [(MESSAGE, 1, at, asked, True), *((MESSAGE, 1, at, data, False) for data in said)]

    async def run() -> bool:
        line = RecorderLine(settings(database), asyncio.get_running_loop())
        line.held.opened(1, opened)
        line.send([opened, *turn(at)])
        await until(lambda: line.report.get("wanted") == 1)
        os.kill(line._process.pid, signal.SIGKILL)
        await until(lambda: line.deaths)
        line.send([*turn(at + 1), (CLOSE, 1, at + 1, True)])
        return line.close(20)

    assert asyncio.run(run())
    assert [record["outcome"] for record in recorded(database)] == ["completed"] * 2


def test_an_exchange_that_cannot_be_packed_takes_no_others_body_along(database: str) -> None:
    long = dump({"model": "m", "stream": True, "messages": [user("x" * 70_000)]})
    bad = exchange(1, long)[:1]
    bad = [(*bad[0][:3], (*bad[0][3][:4], object(), *bad[0][3][5:]), long)]

    async def run() -> None:
        line = RecorderLine(settings(database), asyncio.get_running_loop())
        line.send([*bad, *exchange(2, long + b" ")])
        line.close(20)

    asyncio.run(run())
    assert [record["request_bytes"] for record in recorded(database)] == [len(long) + 1]


def test_what_cannot_be_packed_costs_only_itself(database: str) -> None:
    async def run() -> None:
        line = RecorderLine(settings(database), asyncio.get_running_loop())
        line.send([*exchange(1), (END, 2, time.time(), object(), False)])
        assert line.dropped == 1
        line.close(20)

    asyncio.run(run())
    assert [record["outcome"] for record in recorded(database)] == ["completed"]


def test_half_a_character_in_the_words_of_an_error_costs_only_itself(database: str) -> None:
    async def run() -> bool:
        line = RecorderLine(settings(database), asyncio.get_running_loop())
        line.send([*exchange(1, ended=False)[:1], (END, 1, time.time(), "half a pair: \ud800", False)])
        return line.close(20)

    assert asyncio.run(run())
    assert [record["error_message"] for record in recorded(database)] == ["half a pair: ?"]


def test_signals_for_the_proxy_are_not_for_the_recorder(database: str) -> None:
    async def run() -> bool:
        line = RecorderLine(settings(database), asyncio.get_running_loop())
        line.send(exchange(1))
        await until(lambda: line.report.get("written"))
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(line._process.pid, number)
        line.send(exchange(2))
        return line.close(20)

    assert asyncio.run(run())
    assert len(recorded(database)) == 2


def test_a_recorder_whose_spool_was_removed_is_replaced_by_one_that_makes_it_anew(
    database: str, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "spool", database)
    ledger = Ledger(folder.ledger)
    kept = SpoolSettings(str(tmp_path / "spool"), str(folder.path), 1 << 20, sync=False)
    lazy = msgspec.structs.replace(settings(database), flush_interval=60.0, spool=kept)

    async def run() -> RecorderLine:
        line = RecorderLine(lazy, asyncio.get_running_loop(), ledger, folder)
        ledger.begun(1)
        line.send(exchange(1))
        await until(lambda: ledger.opened_so_far == 1)
        shutil.rmtree(tmp_path / "spool")
        os.kill(line._process.pid, signal.SIGKILL)
        await until(lambda: line.deaths)
        first = line._process.pid
        await until(lambda: line._process.pid != first)
        ledger.begun(2)
        line.send(exchange(2))
        assert line.close(20)
        return line

    line = asyncio.run(run())
    assert (line.deaths, line.lost, ledger.settle()) == (1, 0, 0)
    assert len(recorded(database)) == 2
    assert folder.ledger.exists()
