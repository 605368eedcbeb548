"""A database that is away costs nothing; with ``durability = strict`` nothing passes that could not be recorded."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing

from aitap.storage.database import open_database, rows_of
from tests import postgres
from tests.proxy.client import ANTHROPIC, exchange
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.upstream import Reply, Request, Upstream, answer
from tests.proxy.wire import MESSAGES, ask_messages, message_json

Start = Callable[..., Mitmdump]

BODY = message_json("msg_1", text="Hello")


def test_strict_sends_a_call_on_when_its_record_has_begun_and_refuses_it_where_it_cannot(
    start_proxy: Start, upstream: Upstream
) -> None:
    proxy = start_proxy(arguments=("--set", "aitap_durability=strict", "--set", "aitap_spool_limit=0"))
    open_then: list[list[tuple[str]]] = []

    def handler(request: Request, reply: Reply) -> None:
        with closing(sqlite3.connect(proxy.database)) as database:
            sql = "SELECT outcome FROM aibridge_interceptions"
            open_then.append(database.execute(sql).fetchall())
        answer(BODY)(request, reply)

    upstream.serve(handler)
    assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi")) == (200, BODY)
    assert open_then == [[("in_flight",)]], "it was in the database before the provider heard of the call"
    assert proxy.record()["outcome"] == "completed"

    with closing(sqlite3.connect(proxy.database, isolation_level=None)) as rival:
        rival.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            status, body = exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi"))
            assert status == 503
            error = json.loads(body)
            assert (error["type"], error["error"]["type"]) == ("error", "overloaded_error")
            assert "must record every call" in error["error"]["message"]
        rival.execute("ROLLBACK")
    assert len(open_then) == 1, "the provider heard nothing of what was refused"
    assert proxy.said().count("durability = strict: calls are refused") == 1
    until(lambda: exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi"))[0] == 200, "calls again")
    assert proxy.stop() == 0
    assert {record["status_code"] for record in proxy.all_records()} == {200, 503}


def test_a_proxy_starts_without_its_database_and_stores_later_what_passed(
    start_proxy: Start, upstream: Upstream
) -> None:
    upstream.serve(answer(BODY))
    url = postgres.fresh()
    name = url.partition("@/")[2].partition("?")[0]
    postgres.administer(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    # Strict is content with the spool.
    proxy = start_proxy(database_url=url, arguments=("--set", "aitap_durability=strict"))
    assert "THE DATABASE IS AWAY" in proxy.said()
    for _ in range(3):
        assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi")) == (200, BODY)
    postgres.administer(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")

    def stored() -> bool:
        database = open_database(url, read_only=True)
        try:
            return rows_of(database, "SELECT outcome FROM aibridge_interceptions") == [("completed",)] * 3
        finally:
            database.close()

    until(stored, "the records in the database")
    assert proxy.stop() == 0
    assert "lost" not in proxy.said().lower()
    postgres.drop(url)
