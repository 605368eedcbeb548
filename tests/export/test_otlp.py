"""Records of the past reach a collector as the lines that a proxy would have sent when they were recorded."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest

from aitap.observe.log_history import record_of
from aitap.observe.log_lines import lines_of
from tests.export.conftest import Invoke, Written
from tests.observe.collector import HttpCollector, plain

_OTHERWISE = {"metadata", "correlating_tool_call_id", "session_id", "started_at", "created_at", "ended_at"}
"""What storage fills in, does not keep, or rounds."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpCollector]:
    collector = HttpCollector()
    for name, value in collector.environ.items():
        monkeypatch.setenv(name, value)
    yield collector
    collector.close()


def test_each_record_is_told_in_its_lines_with_their_times(
    invoke: Invoke, written: Written, collector: HttpCollector
) -> None:
    assert invoke("export", "--format", "otlp").stdout == ""
    told = [plain(line.attributes) for line in collector.logs]
    expected = [fields for record in written.records for fields in lines_of(record, announced=False)]
    assert [line["record_type"] for line in told] == [fields["record_type"] for fields in expected]
    for line, fields in zip(told, expected, strict=True):
        same = {name for name in fields if name not in _OTHERWISE}
        assert {name: line.get(name) for name in same} == {name: fields[name] for name in same}
    first = written.records[0]
    assert collector.logs[0].time_unix_nano == pytest.approx(first.started_at * 1e9, abs=1e4)


def test_a_stored_record_is_what_it_was(invoke: Invoke, written: Written) -> None:
    rows = [json.loads(line) for line in invoke("export").stdout.splitlines()]
    for row, before in zip(rows, written.records, strict=True):
        again = record_of(row)
        assert (again.id, again.metadata, again.path) == (before.id, row["metadata"], before.path)
        assert [usage.input for usage in again.tool_usages] == [usage.input for usage in before.tool_usages]
        assert datetime.fromisoformat(row["started_at"]).timestamp() == again.started_at


def test_a_collector_that_does_not_answer_is_one_line(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    assert "does not take logs" in invoke("export", "--format", "otlp", status=1).stderr.splitlines()[-1]


def test_a_batch_is_no_larger_than_collectors_take(
    invoke: Invoke, collector: HttpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke("export", "--format", "otlp")
    together, lines = len(collector.headers), len(collector.logs)
    monkeypatch.setattr("aitap.observe.log_history._BYTES", 1)
    invoke("export", "--format", "otlp")
    assert together == 1
    assert (len(collector.headers), len(collector.logs)) == (together + lines, 2 * lines)


def test_what_a_collector_rejects_does_not_count_as_sent(invoke: Invoke, collector: HttpCollector) -> None:
    """An export that goes on where it stopped stays where it was."""
    collector.rejects = 2
    refused = invoke("export", "--format", "otlp", status=1).stderr
    assert refused.endswith("it rejected 2 of a batch: too old; 0 interceptions were sent before\n")


def test_what_otlp_does_not_take_is_said(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no sessions" in invoke("export", "sessions", "--format", "otlp", status=2).stderr
    monkeypatch.delitem(sys.modules, "aitap.observe.log_history")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk._logs", None)
    assert "pip install 'aitap[otel]'" in invoke("export", "--format", "otlp", status=1).stderr
