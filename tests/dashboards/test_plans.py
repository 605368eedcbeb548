"""A short span of a long record is found by an index: no query of a dashboard reads a whole table of records."""

from __future__ import annotations

import re
from typing import Any

from tests.dashboards.conftest import Board
from tests.dashboards.crowd import MANY, SECONDS
from tests.dashboards.loading import START

SINCE = START + MANY // 2 * SECONDS
UNTIL = SINCE + 3600
SMALL = {"users", "aitap_hosts", "aitap_keys", "aitap_kinds"}
"""One row per user, host, key or kind of call."""


def plan(board: Board, kind: str, query: str) -> str:
    prefix = "EXPLAIN QUERY PLAN " if kind == "sqlite" else "EXPLAIN "
    return "\n".join(str(row[-1]) for row in board.rows(query, SINCE, UNTIL, prefix=prefix))


def read_whole(query: str, plan: str) -> set[str]:
    """Tables of which all rows are read, by index or without."""
    tables = {alias or table: table for table, alias in re.findall(r"(?:FROM|JOIN) (a\w+|users)(?: ([a-z]))?\b", query)}
    scanned = re.findall(r"^SCAN (\w+)", plan, re.MULTILINE)
    whole = {tables[name] for name in scanned if name in tables}
    return whole | set(re.findall(r"Seq Scan on (\w+)", plan))


def test_a_query_reads_no_more_than_the_span(crowded: Board, kind: str) -> None:
    questions: dict[str, Any] = {**crowded.queries}
    questions |= {one["name"]: one["query"] for one in crowded.dashboard["templating"]["list"] if "definition" in one}
    for title, query in questions.items():
        found = plan(crowded, kind, query)
        assert read_whole(query, found) - SMALL == set(), f"{title}\n{found}"


def test_a_plan_that_reads_everything_would_be_found(crowded: Board, kind: str) -> None:
    query = "SELECT count(*) FROM aibridge_interceptions i WHERE i.duration > 2"
    assert read_whole(query, plan(crowded, kind, query)) == {"aibridge_interceptions"}


def test_the_span_alone_is_counted(crowded: Board) -> None:
    ((calls, *_),) = crowded.rows("Activity of $username", SINCE, UNTIL)
    assert calls == 3600 // SECONDS + 1
