"""A client that gets to know an MCP server leaves the reference's three spans."""

from __future__ import annotations

import gzip
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.observe.mcp_inits import McpInits, Tree
from aitap.record import Passed
from tests.observe.making import ANN, T0

SERVER = {"serverInfo": {"name": "weather", "version": "1"}, "capabilities": {}}
TOOLS = {"tools": [{"name": "now"}, {"name": "tomorrow"}]}


def asked(method: str, result: Any, at: float = T0, *, sse: bool = False, **fields: Any) -> Passed:
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
    values: dict[str, Any] = {
        "provider": "",
        "method": "POST",
        "host": "mcp.example.com",
        "path": "/mcp",
        "status": 200,
        "started_at": at,
        "ended_at": at + 0.5,
        "initiator_id": ANN,
        "question": json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode(),
        "answer": b"event: message\ndata: " + answer + b"\n\n" if sse else answer,
        "session": "s1",
    }
    return Passed(**{**values, **fields})


def told(trees: list[Tree]) -> list[list[tuple[str, float, float]]]:
    return [[(span.name, span.start - T0, span.end - T0) for span in spans] for spans, _ in trees]


@pytest.mark.parametrize("sse", [True, False])
def test_initialize_and_tools_list_are_one_tree(sse: bool) -> None:
    inits = McpInits()
    assert inits.seen(asked("initialize", SERVER, sse=sse)) == []
    trees = inits.seen(asked("tools/list", TOOLS, T0 + 2, sse=sse))
    assert told(trees) == [
        [
            ("ServerProxyManager.Init", 0, 2.5),
            ("StreamableHTTPServerProxy.Init", 0, 2.5),
            ("StreamableHTTPServerProxy.Init.fetchTools", 2, 2.5),
        ]
    ]
    fetched = trees[0][0][2].attributes
    assert (fetched["mcp_server_name"], fetched["mcp_tool_count"]) == ("weather", 2)
    assert fetched["mcp_server_url"] == "https://mcp.example.com/mcp"
    assert inits.due(math.inf) == []


def test_a_server_that_is_asked_for_no_tools_is_told_of_after_a_minute() -> None:
    inits = McpInits()
    inits.seen(asked("initialize", SERVER))
    assert inits.due(T0 + 60) == []
    assert told(inits.due(T0 + 61)) == [
        [("ServerProxyManager.Init", 0, 0.5), ("StreamableHTTPServerProxy.Init", 0, 0.5)]
    ]


def test_a_server_that_refuses_is_an_error() -> None:
    inits = McpInits()
    inits.seen(asked("initialize", {}, status=401))
    [(spans, _)] = inits.due(math.inf)
    assert {span.error for span in spans} == {"HTTP 401"}


def test_an_answer_may_be_compressed() -> None:
    inits = McpInits()
    plain = asked("initialize", SERVER)
    inits.seen(asked("initialize", SERVER, answer=gzip.compress(plain.answer), answer_coding="gzip"))
    [(spans, _)] = inits.due(math.inf)
    assert spans[1].attributes["mcp_server_name"] == "weather"


@given(st.binary(max_size=200), st.binary(max_size=200), st.sampled_from(["", "gzip", "br"]))
def test_whatever_is_said_nothing_is_raised(question: bytes, answer: bytes, coding: str) -> None:
    inits = McpInits()
    inits.seen(asked("initialize", SERVER, question=question))
    inits.seen(asked("initialize", SERVER, answer=answer, answer_coding=coding))
    inits.seen(asked("tools/list", SERVER, answer=answer))
    assert inits.due(math.inf) == []


def test_servers_that_never_say_more_do_not_fill_memory() -> None:
    inits = McpInits()
    trees = [tree for number in range(1000) for tree in inits.seen(asked("initialize", SERVER, session=str(number)))]
    assert len(trees) + len(inits.due(math.inf)) == 1000
    assert len(trees) >= 700


def test_bodies_are_not_kept_while_the_tools_are_waited_for() -> None:
    inits = McpInits()
    inits.seen(asked("initialize", SERVER))
    assert [(begun.passed.question, begun.passed.answer) for begun in inits._begun.values()] == [(b"", b"")]
