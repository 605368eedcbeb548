"""``tail`` gives each record when it appears and when it ends, and ends quietly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aitap.export.follow import Follower
from aitap.record import Interception
from aitap.storage.database import open_database
from aitap.storage.queries import Filter
from aitap.storage.writer import Writer
from tests.export import sample
from tests.export.terminal import on_terminal


class Proxy:
    """Writes as a proxy does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = open_database(url, migrate=True)
        self.writer = Writer(self.database, flush_interval=0.01)
        self.writer.start()

    def write(self, *records: Interception) -> None:
        for record in records:
            assert self.writer.submit(record)
        assert self.writer.flush(60)

    def close(self) -> None:
        self.writer.close()
        self.database.close()


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    found = Proxy(f"sqlite:///{tmp_path}/records.db")
    yield found
    found.close()


def call(**fields: Any) -> Interception:
    return sample.Story(time.time()).call(client_session_id=None, **fields)


def begun(record: Interception) -> Interception:
    return msgspec.structs.replace(record, ended_at=None, outcome="in_flight", token_usages=[])


def seen(follower: Follower) -> list[tuple[str, str]]:
    return [(record["id"], record["outcome"]) for record in follower.poll()]


def test_a_follower_gives_the_backlog_then_beginnings_and_ends(proxy: Proxy) -> None:
    first, second, third = call(), call(), call(outcome="failed")
    proxy.write(first, second)
    reader = open_database(proxy.url, read_only=True)
    try:
        follower = Follower(reader, Filter(), backlog=1)
        assert seen(follower) == [(second.id, "completed")]
        assert seen(follower) == []
        proxy.write(begun(third))
        assert seen(follower) == [(third.id, "in_flight")]
        assert seen(follower) == []
        fourth = call()
        proxy.write(third, fourth)
        assert seen(follower) == [(third.id, "failed"), (fourth.id, "completed")]
        assert seen(follower) == []
    finally:
        reader.close()


def test_a_follower_sees_the_end_of_what_was_in_flight_long_ago(proxy: Proxy) -> None:
    old = sample.Story(time.time() - 3600).call()
    proxy.write(begun(old))
    reader = open_database(proxy.url, read_only=True)
    try:
        follower = Follower(reader, Filter(), backlog=10)
        assert seen(follower) == [(old.id, "in_flight")]
        proxy.write(old)
        assert seen(follower) == [(old.id, "completed")]
    finally:
        reader.close()


def test_a_follower_heeds_its_filter(proxy: Proxy) -> None:
    proxy.write(call())
    reader = open_database(proxy.url, read_only=True)
    try:
        follower = Follower(reader, Filter(model="wanted"), backlog=10)
        assert seen(follower) == []
        wanted = call(model="wanted")
        proxy.write(call(), wanted)
        assert seen(follower) == [(wanted.id, "completed")]
    finally:
        reader.close()


def tail(url: str, *args: str, stdout: Any = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "aitap", "tail", "--interval", "0.05", *args],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=os.environ | {"AITAP_DATABASE_URL": url},
    )


def test_a_pipe_gets_json_lines_as_they_come_and_ctrl_c_ends_it_cleanly(proxy: Proxy) -> None:
    first, second = call(), call()
    proxy.write(first)
    process = tail(proxy.url)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["id"] == first.id
    proxy.write(second)
    assert json.loads(process.stdout.readline())["id"] == second.id
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, b"", b"")


@pytest.mark.skipif(os.name != "posix", reason="needs poll")
def test_a_reader_that_goes_away_ends_it_even_when_nothing_happens(proxy: Proxy) -> None:
    proxy.write(call())
    process = tail(proxy.url)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo terminal")
def test_a_terminal_gets_lines_of_one_table(proxy: Proxy) -> None:
    record = call(prompt="hello there")
    proxy.write(record)
    status, text = on_terminal(80, "tail", interrupt_at="hello there", AITAP_DATABASE_URL=proxy.url)
    assert status == 0
    head, line = text.splitlines()[:2]
    assert head.startswith("TIME")
    assert record.id[-8:] in line
    assert "hello there" in line
