"""Counts of several recorders as those of one."""

from __future__ import annotations

import os

import msgspec
import pytest

from aitap.observe.metric_table import metrics
from aitap.observe.registry import Histogram, Registry
from aitap.observe.report import Frames, Report, Reporting
from aitap.workers.reports import Reports
from tests.proxy.mitmdump import until


class Recorder:
    """The recorder of a worker."""

    def __init__(self, reports: Reports, name: str, trouble: str = "") -> None:
        self.registry = Registry(metrics())
        self.trouble = trouble
        line = reports.line(name)
        self.reporting = Reporting(os.dup(line.fileno()), self.registry, lambda: self.trouble)
        line.close()


@pytest.fixture
def reports() -> Reports:
    return Reports(metrics())


def frame(report: Report) -> bytes:
    body = msgspec.msgpack.encode(report)
    return len(body).to_bytes(4) + body


def values(reports: Reports, name: str) -> dict[tuple[str, ...], float | Histogram]:
    return next((series for metric, series in reports.read() if metric.name == name), {})


def test_counters_and_histograms_are_sums_and_what_is_shared_is_not(reports: Reports) -> None:
    for number in (1, 2):
        registry = Recorder(reports, f"worker {number}").registry
        registry.add("passthrough_total", number, "anthropic", "/v1/models", "GET")
        registry.observe("hook_seconds", 0.002 * number, "request")
        registry.set("database_bytes", {(): 1000 * number})
        registry.set("records_queued", {(): number})
        registry.set("start_timestamp_seconds", {(): 100.0 + number})
    assert values(reports, "passthrough_total") == {("anthropic", "/v1/models", "GET"): 3}
    [histogram] = values(reports, "hook_seconds").values()
    assert isinstance(histogram, Histogram)
    assert (histogram.count, round(histogram.sum, 6)) == (2, 0.006)
    assert values(reports, "database_bytes") == {(): 2000}
    assert values(reports, "records_queued") == {(): 3}
    assert values(reports, "start_timestamp_seconds") == {(): 101.0}


def test_what_a_recorder_counted_last_stays_when_it_ends_and_its_gauges_go(reports: Reports) -> None:
    first, second = Recorder(reports, "worker 1"), Recorder(reports, "worker 2")
    for recorder in (first, second):
        recorder.registry.add("hook_errors_total", 1)
        recorder.registry.set("records_queued", {(): 5})
    assert values(reports, "hook_errors_total") == {(): 2}
    first.registry.add("hook_errors_total", 10)  # nobody asks any more
    first.reporting.close()
    until(lambda: values(reports, "records_queued") == {(): 5}, "the end of a recorder")
    assert values(reports, "hook_errors_total") == {(): 12}


def test_a_recorder_that_was_started_anew_counts_beside_the_one_before(reports: Reports) -> None:
    line = reports.line("worker 1")
    for run, count in (("1", 4.0), ("1", 5.0), ("2", 1.0)):
        line.sendall(frame(Report(run, "", {"hook_errors_total": [([], count)]})))
    line.close()
    until(lambda: values(reports, "hook_errors_total") == {(): 6}, "the sum of both")


def test_trouble_is_told_with_the_name_of_whose_it_is(reports: Reports) -> None:
    Recorder(reports, "worker 1")
    assert reports.trouble() == ""
    Recorder(reports, "worker 2", "the database does not take records: database is locked")
    assert reports.trouble() == "worker 2: the database does not take records: database is locked"


def test_frames_may_come_in_any_pieces() -> None:
    sent = [
        Report("1", "", {"workers": [([], 2.0)]}),
        Report("2", "no", {"hook_seconds": [(["request"], ([1, 0], 0.5))]}),
    ]
    data = b"".join(map(frame, sent))
    frames = Frames()
    assert [report for byte in data for report in frames.feed(bytes([byte]))] == sent
