"""``aitap run --workers``: real proxies on one port, with one database and one address for the metrics."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proxy.client import ANTHROPIC, connect, exchange, post
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.test_observe_metrics import LISTEN, address, counted, get, scrape, value
from tests.proxy.test_process import BEGUN, PATIENCE
from tests.proxy.upstream import Reply, Request, Upstream, answer
from tests.proxy.wire import MESSAGES, ask_messages, message_json

TWO = {"command": "aitap run", "options": ("--workers", "2")}


@pytest.fixture(scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Mitmdump]:
    pair = Mitmdump(tmp_path_factory.mktemp("pair"), confdir, _provider, arguments=LISTEN, **TWO)  # type: ignore[arg-type]
    yield pair
    pair.stop()


@pytest.fixture
def pair(_pair: Mitmdump, upstream: Upstream) -> Mitmdump:
    """Two workers that are both up."""
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    counted(_pair, "aitap_workers", 2)
    _pair.forget()
    return _pair


def runs(proxy: Mitmdump) -> set[int]:
    """The recorders that have written."""
    with contextlib.closing(sqlite3.connect(proxy.database)) as database:
        return {run for (run,) in database.execute("SELECT DISTINCT proxy_id FROM aibridge_interceptions")}


def test_both_serve_the_port_and_leave_one_database_and_one_set_of_metrics(pair: Mitmdump) -> None:
    before = value(scrape(pair), "aitap_interceptions_total")
    sent = 0

    def both() -> bool:
        nonlocal sent
        for _ in range(4):
            assert exchange(pair, ANTHROPIC, MESSAGES, ask_messages("hi"))[0] == 200
            sent += 1
        return len(runs(pair)) >= 2

    until(both, "calls through both workers")
    assert [record["outcome"] for record in pair.records(sent)] == ["completed"] * sent
    samples = counted(pair, "aitap_interceptions_total", before + sent)
    # What both see of the same file is no sum.
    assert value(samples, "aitap_database_bytes") <= 2 * pair.database.stat().st_size + (8 << 20)
    assert value(samples, "aitap_records_lost_total") == 0
    assert get(f"{address(pair)}/readyz") == (200, "ok\n")
    assert len(samples["aitap_build_info"]) == 1


def test_one_that_is_killed_is_replaced_and_no_sum_falls(pair: Mitmdump) -> None:
    for _ in range(4):
        exchange(pair, ANTHROPIC, MESSAGES, ask_messages("hi"))
    pair.records(4)
    before = value(scrape(pair), "aitap_records_written_total")
    victim = pair.children()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in pair.children() and len(pair.children()) == 2, "another worker")
    samples = counted(pair, "aitap_workers", 2)
    assert value(samples, "aitap_worker_restarts_total") >= 1
    assert value(samples, "aitap_records_written_total") >= before
    assert re.search(r"worker \d ended with SIGKILL; another is started", pair.said())
    assert exchange(pair, ANTHROPIC, MESSAGES, ask_messages("hi"))[0] == 200
    assert pair.record()["outcome"] == "completed"


def test_a_parent_that_is_killed_takes_its_workers_along_and_every_record_gets_its_end(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream
) -> None:
    released = threading.Event()

    def begin(_: Request, reply: Reply) -> None:
        reply.head(200, {"content-type": "text/event-stream"})
        reply.send(BEGUN)
        released.wait(PATIENCE)

    upstream.serve(begin)
    proxy = start_proxy(**TWO)
    workers = until(lambda: len(found := proxy.children()) == 2 and found, "two workers")
    streams = [post(connect(proxy, ANTHROPIC), MESSAGES, ask_messages("hi", stream=True)) for _ in range(3)]
    assert [stream.read(len(BEGUN)) for stream in streams] == [BEGUN] * 3
    assert proxy.stop(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: not any(map(proxy.children, workers)), "the end of the recorders")
    released.set()
    assert [record["ended_at"] is not None for record in proxy.all_records()] == [True] * 3
