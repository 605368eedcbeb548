"""What the settings ask for is put together, and what cannot be had costs no record."""

from __future__ import annotations

import logging
import socket
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aitap.capture.environment import Environment
from aitap.capture.pipeline import Pipeline
from aitap.observe import settings as observe
from aitap.observe.observation import Observation
from aitap.observe.settings import ObserveSettings, observe_settings
from aitap.record import HostSeen, Passed
from aitap.settings import SettingsError, load
from aitap.storage.writer import Writer
from tests.observe.making import ANN, T0, turn
from tests.proxy.mitmdump import until
from tests.storage.making import database_in

Make = Callable[..., Observation]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(database_in(tmp_path), flush_interval=0.01)
    made.start()
    yield made
    made.close(5)


@pytest.fixture
def make(writer: Writer, tmp_path: Path) -> Iterator[Make]:
    """An observation of a writer, with these settings."""
    made: list[Observation] = []

    def observation(**settings: Any) -> Observation:
        found = Observation(ObserveSettings(**settings), writer, f"sqlite:///{tmp_path}/aitap.db")
        found.start(Pipeline(Environment(ANN, "metadata+prompt"), found.sink, announce_after=None))
        made.append(found)
        return found

    yield observation
    for found in made:
        found.close(1)


def test_with_nothing_switched_on_records_go_straight_to_the_writer(make: Make, writer: Writer) -> None:
    observation = make()
    assert observation.sink is writer
    observation.passed(_passed())
    observation.proxy_said({})


def _passed() -> Passed:
    return Passed(
        provider="p", method="GET", host="h", path="/", status=200, started_at=T0, ended_at=T0, initiator_id=ANN
    )


def test_a_variable_that_makes_no_sense_costs_the_traces_and_no_record(
    make: Make, writer: Writer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1")
    observation = make(trace_enable=True)
    assert observation.sink.submit(turn())
    assert writer.flush(5)
    assert writer.stats.written == 1
    assert [entry.message.partition(":")[0] for entry in caplog.records if entry.levelno == logging.ERROR] == ["aitap"]
    assert "the traces cannot be had" in caplog.text


def test_an_address_in_use_costs_the_metrics_and_no_record(
    make: Make, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        observation = make(metrics_listen=taken.getsockname())
    assert observation.sink.submit(turn())
    assert writer.flush(5)
    assert "the address of the metrics cannot be had" in caplog.text


def test_what_the_proxy_says_may_be_anything(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    observation = make(metrics_listen=("127.0.0.1", 0))
    observation.proxy_said({"refusals": 7})
    observation.proxy_said({"hooks": [()]})
    observation.host_seen(HostSeen(host="h", mode="tunnelled", initiator_id=ANN, at=T0))
    assert observation.faults == 2
    assert [entry.message for entry in caplog.records if entry.levelno == logging.ERROR] == [
        "aitap: something could not be told; the records are not affected"
    ]


def test_the_writer_says_why_it_cannot_write(make: Make, writer: Writer, tmp_path: Path) -> None:
    observation = make(structured_logging=True, log_to=str(tmp_path / "aitap.log"))
    assert writer.trouble == ""
    with closing(sqlite3.connect(tmp_path / "aitap.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        observation.sink.submit(turn())
        until(lambda: writer.trouble, "trouble", timeout=30)
        assert writer.trouble == "the database does not take records: database is locked"
        until((tmp_path / "aitap.log").exists, "the log is written all the same")
        other.rollback()
    assert writer.flush(60)
    assert writer.trouble == ""
    writer.close(5)
    assert writer.trouble == "the writer does not run"


def test_the_end_is_told_before_it_is_over(make: Make, writer: Writer, tmp_path: Path) -> None:
    log = tmp_path / "aitap.log"
    observation = make(structured_logging=True, log_to=str(log))
    for _ in range(50):
        observation.sink.submit(turn())
    writer.close(5)
    observation.close(5)
    assert log.read_text().count('"record_type":"interception_end"') == 50


def test_an_address_of_the_endpoint_answers_nothing_else(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        make(metrics_listen=("::1" if socket.has_ipv6 and _loopback6() else "127.0.0.1", 0))
    url = caplog.text.partition("metrics at ")[2].partition("/metrics")[0]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{url}/other", timeout=60)
    with urllib.request.urlopen(urllib.request.Request(f"{url}/metrics", method="HEAD"), timeout=60) as answered:
        assert (answered.status, answered.read()) == (200, b"")


def _loopback6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"trace_logs": "true"}, "trace_enable"),
        ({"structured_logging": "true", "log_to": "/no/such/folder/x.log"}, "/no/such/folder"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(options: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        observe_settings(load(options, {}))


@pytest.mark.parametrize(
    ("environ", "left"),
    [
        ({}, (True, True, True)),
        ({"OTEL_SDK_DISABLED": "true"}, (False, False, False)),
        ({"OTEL_TRACES_EXPORTER": "none"}, (False, True, True)),
        ({"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}, (True, False, False)),
    ],
)
def test_what_the_standard_variables_switch_off_is_off(environ: dict[str, str], left: tuple[bool, ...]) -> None:
    options = {"trace_enable": "true", "metrics_otlp": "true", "structured_logging": "true", "log_to": "otlp"}
    found = observe_settings(load(options, {}), environ)
    assert (found.trace_enable, found.metrics_otlp, found.structured_logging) == left


@pytest.mark.parametrize(
    "options",
    [{"trace_enable": "true"}, {"metrics_otlp": "true"}, {"structured_logging": "true", "log_to": "otlp"}],
)
def test_what_is_not_installed_is_said_with_the_way_to_get_it(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'aitap\[otel\]'"):
        observe_settings(load(options, {}))
