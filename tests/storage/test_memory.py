"""What is remembered of interceptions is bounded in bytes, whatever ids and tools providers make up."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from peewee import SqliteDatabase

from aitap.record import Interception
from aitap.storage import memory as module
from aitap.storage.lineage import Threads
from tests.storage.making import T0, interception, lineage, tokens, tool


def turn(number: int) -> Interception:
    return interception(
        T0 + number,
        tool_usages=[tool(f"toolu_{number:030}")],
        token_usages=[tokens(f"msg_{number:030}")],
        lineage=lineage(),
        client_session_id=f"session-{number // 20}",
    )


@pytest.fixture
def nothing_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "rows_of", lambda *_: [])


@pytest.mark.usefixtures("nothing_stored")
def test_what_is_remembered_grows_no_more_once_it_is_full() -> None:
    threads = Threads(SqliteDatabase(None), 200)
    held = []
    tracemalloc.start()
    try:
        for start in range(0, 6000, 1000):
            for number in range(start, start + 1000):
                threads.resolve([turn(number)])
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(held) < 600 * 2000
    assert held[-1] < 1.5 * min(held[1:])


def test_of_very_many_calls_without_ids_the_database_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Any] = [(f"id-{number}", "x" * 100_000) for number in range(100)]
    monkeypatch.setattr(module, "rows_of", lambda *_: rows)
    memory = module.Memory(SqliteDatabase(None), 20)
    usages = [tool(None, name="x" * 100_000) for _ in range(100)]
    record = interception(T0, tool_usages=usages)
    node = memory.node(record)
    memory.learn(record, node)
    assert node.unnamed is None
    assert [usage for usage, _ in memory.unnamed(node)] == [own_id for own_id, _ in rows]
    assert node.unnamed is None


def test_of_a_tools_name_the_beginning_is_kept() -> None:
    memory = module.Memory(SqliteDatabase(None), 20)
    usage = tool(None, name="x" * 100_000)
    record = interception(T0, tool_usages=[usage])
    node = memory.node(record)
    memory.learn(record, node)
    assert [len(name) for _, name in memory.unnamed(node)] == [128]
