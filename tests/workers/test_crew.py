"""The parent of the workers, with little programs in the place of proxies."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proxy.mitmdump import CHECKOUT, until

Launch = Callable[..., "Running"]


class Running:
    """The crew as a process."""

    def __init__(self, folder: Path, count: int, *words: str) -> None:
        self.log = folder / "crew.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.workers.little", str(count), *words], cwd=CHECKOUT, stdout=log, stderr=log
            )

    def said(self) -> str:
        return self.log.read_text()

    @property
    def port(self) -> int:
        found = until(lambda: re.search(r"^port (\d+)$", self.said(), re.MULTILINE), "a port")
        return int(found[1])

    def served_by(self) -> int:
        """The worker that answers a connection."""
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            return int(connection.makefile().readline())

    def workers(self, count: int) -> set[int]:
        """So many workers that answer."""
        found: set[int] = set()

        def all_of_them() -> bool:
            with contextlib.suppress(OSError, ValueError):
                found.add(self.served_by())
            return len(found) >= count

        until(all_of_them, f"{count} workers")
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    running: list[Running] = []

    def start(count: int, *words: str) -> Running:
        running.append(Running(tmp_path, count, *words))
        return running[-1]

    yield start
    for crew in running:
        crew.process.kill()
        crew.process.wait()


def test_every_worker_gets_connections_and_all_end_with_their_parent(launch: Launch) -> None:
    crew = launch(3)
    workers = crew.workers(3)
    assert crew.stop() == 0
    until(lambda: not any(_runs(pid) for pid in workers), "their end")
    assert "orphan" not in crew.said()


def test_where_sockets_are_not_balanced_all_accept_from_one(launch: Launch) -> None:
    crew = launch(2, "shared")
    assert crew.served_by()
    assert crew.stop(signal.SIGINT) == 0


def test_who_ends_it_as_the_first_worker_comes_up_does_not_wait_for_the_others(launch: Launch) -> None:
    crew = launch(2, "hasty")
    assert crew.process.wait(60) == 0
    assert "killed" not in crew.said()


def test_a_worker_that_is_killed_is_replaced_and_whoever_waited_for_it_is_served(launch: Launch) -> None:
    crew = launch(2)
    first, _ = crew.workers(2)
    os.kill(first, signal.SIGKILL)
    # Half of these are in the socket of the dead one.
    assert all(crew.served_by() != first for _ in range(12))
    assert first not in crew.workers(2)
    assert re.search(r"worker \d ended with SIGKILL; another is started now", crew.said())
    assert crew.stop() == 0


def test_one_that_dies_soon_again_is_replaced_after_a_pause(launch: Launch) -> None:
    crew = launch(2)
    [keeper, *_] = crew.workers(2)
    for said in ("now", "in 1 s"):
        others = until(lambda: {crew.served_by() for _ in range(8)} - {keeper}, "another worker")
        os.kill(others.pop(), signal.SIGKILL)
        until(lambda said=said: f"another is started {said}" in crew.said(), said)
    # Its share of the port is the other's meanwhile: nobody is kept waiting.
    assert keeper in crew.workers(2)
    assert crew.stop() == 0


def test_where_the_first_cannot_begin_nothing_does(launch: Launch) -> None:
    crew = launch(3, "wrong")
    assert crew.process.wait(60) == 3
    assert "another" not in crew.said()


def test_a_second_signal_does_not_wait(launch: Launch) -> None:
    crew = launch(1, "stubborn")
    [worker] = crew.workers(1)
    crew.process.send_signal(signal.SIGTERM)
    until(lambda: "not yet" in crew.said(), "a worker that was told to end")
    assert _runs(worker)
    assert crew.stop(signal.SIGINT) == 1
    assert "worker 1 ended with SIGKILL" in crew.said()


def test_workers_of_a_parent_that_is_killed_hear_of_it(launch: Launch) -> None:
    crew = launch(2)
    workers = crew.workers(2)
    assert crew.stop(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: crew.said().count("orphan") == 2, "two orphans")
    until(lambda: not any(_runs(pid) for pid in workers), "their end")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
