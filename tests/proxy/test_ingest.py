"""What a plain mitmdump saves, without any addon of ours, into records."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aitap.storage.database import open_database
from aitap.storage.queries import Filter, iter_interceptions
from tests.proxy.client import ANTHROPIC, OPENAI, exchange
from tests.proxy.mitmdump import CHECKOUT, SCRIPTS, Mitmdump, aitap, until
from tests.proxy.upstream import Upstream, answer, in_turn
from tests.proxy.wire import CHAT, MESSAGES, ask_chat, ask_messages, chat_json, message_sse


class Saver(Mitmdump):
    """A mitmdump that only saves what passes, as flows and as an archive."""

    def __init__(self, folder: Path, confdir: Path, upstream: Upstream) -> None:
        self.log = folder / "saver.log"
        self.certificate = confdir / "mitmproxy-ca-cert.pem"
        self.flows, self.har = folder / "saved.mitm", folder / "saved.har"
        self._database: Any = None
        self._log_start = 0
        options = {"confdir": confdir, "ssl_insecure": "true", "connection_strategy": "lazy", "hardump": self.har}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(Path(sys.executable).with_name("mitmdump"), "--listen-host", "127.0.0.1", "--listen-port", "0"),
                    *("-s", SCRIPTS / "network.py", "-w", self.flows),
                    *(word for name, value in options.items() for word in ("--set", f"{name}={value}")),
                ],
                cwd=CHECKOUT,
                env=os.environ | {"TEST_UPSTREAM_PORT": str(upstream.port), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.port = int(until(self._listening, "a proxy that listens", 30)[1])

    def _listening(self) -> re.Match[str] | None:
        assert self.process.poll() is None, self.said()
        return re.search(r"proxy listening at 127\.0\.0\.1:(\d+)", self.said())


@pytest.fixture
def saver(tmp_path: Path, confdir: Path, upstream: Upstream) -> Iterator[Saver]:
    found = Saver(tmp_path, confdir, upstream)
    yield found
    found.stop()


def records(url: str) -> list[dict[str, Any]]:
    database = open_database(url, read_only=True)
    try:
        return list(iter_interceptions(database, Filter()))
    finally:
        database.close()


def without_names(record: Any) -> Any:
    """What a record says, but for ids and what only one of two formats knows."""
    if isinstance(record, dict):
        left_out = {"id", "interception_id", "session_id", "ended_at", "duration", "created_at", "response_bytes"}
        return {name: without_names(value) for name, value in record.items() if name not in left_out}
    return [without_names(item) for item in record] if isinstance(record, list) else record


def test_what_mitmdump_saved_becomes_the_same_records_from_flows_and_from_an_archive(
    saver: Saver, upstream: Upstream, tmp_path: Path
) -> None:
    streamed = message_sse("msg_1", text="H\u00e9llo")
    upstream.serve(in_turn(answer(streamed, "text/event-stream"), answer(chat_json("c1", text="Hi")), answer(b"{}")))
    assert exchange(saver, ANTHROPIC, MESSAGES, ask_messages("Say hi", stream=True)) == (200, streamed)
    exchange(saver, OPENAI, CHAT, ask_chat("Say hi again"))
    exchange(saver, "example.com", "/", b"{}")
    assert saver.stop() == 0

    told: list[Any] = []
    for file in (saver.flows, saver.har):
        url = f"sqlite:///{tmp_path}/{file.suffix}.db"
        for summary in ("2 recorded, 0 already there, 1 not AI\n", "0 recorded, 2 already there, 1 not AI\n"):
            done = aitap("ingest", str(file), AITAP_DATABASE_URL=url)
            assert (done.returncode, done.stdout, done.stderr) == (0, summary, "")
        told.append(records(url))
    by_flows, by_har = told
    assert [row["outcome"] for row in by_flows] == ["completed"] * 2
    assert [row["user_prompts"][0]["prompt"] for row in by_flows] == ["Say hi", "Say hi again"]
    assert all(row["token_usages"] for row in by_flows)
    for flow, entry in zip(by_flows, by_har, strict=True):
        # An archive has times as text, and 1 us is lost on the way.
        begun = [datetime.fromisoformat(row.pop("started_at")) for row in (flow, entry)]
        prompted = [datetime.fromisoformat(row.pop("last_prompt_at")) for row in (flow, entry)]
        assert abs(begun[0] - begun[1]) < timedelta(milliseconds=1)
        assert begun == prompted
    assert without_names(by_flows) == without_names(by_har)


def test_saved_traffic_gives_what_live_recording_gave(
    saver: Saver, upstream: Upstream, start_proxy: Callable[..., Mitmdump], tmp_path: Path
) -> None:
    asked = ask_messages("Say hi", stream=True)
    upstream.serve(answer(message_sse("msg_1", text="Hello"), "text/event-stream"))
    exchange(saver, ANTHROPIC, MESSAGES, asked)
    assert saver.stop() == 0
    proxy = start_proxy()
    exchange(proxy, ANTHROPIC, MESSAGES, asked)
    live = proxy.record()
    url = f"sqlite:///{tmp_path}/saved.db"
    assert aitap("ingest", str(saver.flows), AITAP_DATABASE_URL=url).returncode == 0
    (saved,) = records(url)
    of_the_moment = {"started_at", "last_prompt_at", "time_to_first_token", "proxy_id"}
    of_saved = without_names(saved)
    differ = {name for name, value in without_names(live).items() if of_saved[name] != value}
    assert differ <= of_the_moment
