"""Each response on a WebSocket is a trace of its own, and is logged like any other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.observe.collector import HttpCollector
from tests.observe.traces import check_tree, trace_of
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.test_response_sockets import Provider, ask, frames, message, open_socket


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpCollector]:
    found = HttpCollector()
    for name, value in found.environ.items():
        monkeypatch.setenv(name, value)
    yield found
    found.close()


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    found = Provider(tmp_path)
    yield found
    found.close()


@pytest.fixture
def proxy(tmp_path: Path, confdir: Path, provider: Provider, collector: HttpCollector) -> Iterator[Mitmdump]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITAP_TRACE_ENABLE", "true")
        found = Mitmdump(tmp_path, confdir, provider)  # type: ignore[arg-type]
    yield found
    found.stop()


def test_each_turn_is_a_trace(proxy: Mitmdump, provider: Provider, collector: HttpCollector) -> None:
    def converse(connection: Any) -> None:
        for number, _ in enumerate(connection):
            for frame in frames(f"resp_{number}", [message("Hello")]):
                connection.send(frame)

    provider.converse = converse
    with open_socket(proxy) as session:
        for text in ("one", "two"):
            session.send(ask(text))
            while json.loads(session.recv())["type"] != "response.completed":
                pass
    traces = [trace_of(collector, record["id"]) for record in proxy.records(2)]
    for spans in traces:
        check_tree(spans, (1, 1, 0, 0), connection=False)
    assert traces[0][0].trace_id != traces[1][0].trace_id
