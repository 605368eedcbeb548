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
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from aitap.storage.checks import problems
from aitap.storage.database import StorageError, open_database, rows_of
from aitap.storage.spool.folders import left_behind
from tests.proxy.client import ANTHROPIC, connect, post
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.places import Disk, Place
from tests.proxy.upstream import Reply, Request, Upstream, answer
from tests.proxy.wire import MESSAGES, ask_messages, message_json, message_sse
from tests.proxy.wires import Wire

__all__ = ["FAULTS", "NEED_ROOT", "Laboratory", "Outcome"]

FAULTS = (
    "recorder",
    "proxy",
    "both",
    "database",
    "database+recorder",
    "database+proxy",
    "database+both",
    "database+spool",
    "tail",
    "middle",
    "clients",
    "provider",
    "pair",
    "clock",
    "room",
    "full",
    "full+room",
    "readonly",
)
"""What a round can hurt. ``spool`` is its folder, removed while it is in use. ``tail`` is ``database+both`` with the
end of the last segment damaged before the next proxy starts, ``middle`` with any place of any; ``clients`` and
``provider`` are the networks on either side of the proxy; ``pair`` is a second proxy on the same database, killed;
``clock`` is set by minutes to a year, to 1970 or to 2100, once or several times, in the proxy and its recorder, and
set right again; ``room`` is a spool without room while the database is away; ``full`` is a disk without room under the
database, and ``readonly`` one that takes no writes."""

NEED_ROOT = ("room", "full", "full+room", "readonly")
"""They need small disks of their own."""

_CLIENTS = 4
_STEPS = tuple(3600.0 * hours for hours in (-30, -10, -1, -0.02, 0.02, 1, 10, 30, 9000))
_MOMENTS = (1000.0, 4_102_444_800.0)
"""In 1970, where clocks begin without a battery, and in 2100."""
_LONGEST = 60.0
"""Seconds that no exchange here lasts."""
_LOST = re.compile(
    rb"(\d+) RECORDS WERE LOST|and (\d+) records in them are lost|records are taken again; (\d+) were lost"
)
_EVENTS = "text/event-stream"
_OUT_OF_TIME = (
    "SELECT id, started_at, ended_at, duration FROM aibridge_interceptions "
    f"WHERE ended_at < started_at OR duration > {_LONGEST} OR time_to_first_token > {_LONGEST}"
)


class Outcome(msgspec.Struct):
    """What a round showed; ``problems`` is empty where all is as promised."""

    fault: str
    finished: int = 0
    recorded: int = 0
    lost: int = 0
    """As counted by the proxies."""
    broken: int = 0
    """Clients whose proxy was killed, or whose network or provider's network was cut."""
    problems: list[str] = []


class Road(msgspec.Struct, frozen=True):
    """The way of a client to a proxy: as much of one as :func:`tests.proxy.client.connect` asks for."""

    port: int
    proxy: Mitmdump

    def trust(self) -> ssl.SSLContext:
        """See :class:`Mitmdump`."""
        return self.proxy.trust()


class Laboratory:
    """One database, one spool, and one proxy after the other."""

    def __init__(
        self,
        folder: Path,
        confdir: Path,
        upstream: Upstream,
        place: Place,
        spool: Path,
        seed: int,
        disks: tuple[Disk, Disk] | None = None,
    ) -> None:
        """``disks`` are those of the database and of the spool, where they are small ones."""
        self.place = place
        self._disks = disks
        self._folder = folder
        self._confdir = confdir
        self._spool = spool
        self._chance = random.Random(seed)
        self._proxy: Mitmdump | None = None
        self._near: Wire | None = None
        self._far = Wire(upstream.port)
        self._clock = folder / "clock"
        self._set_clock(0.0)
        os.environ["TEST_CLOCK"] = str(self._clock)
        self._round = 0
        self._counted = 0
        self._untimely: set[Any] = set()
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
        self,
        client: int,
        deadline: float,
        finished: list[str],
        errors: list[str],
        alive: threading.Event,
        road: Road,
    ) -> None:
        number = 0
        connection = None
        while time.monotonic() < deadline and alive.is_set():
            name = f"{self._round}-{client}-{number}"
            number += 1
            stream = number % 3 == 0
            expected = (message_sse if stream else message_json)(f"msg_{name}", text=name)
            try:
                connection = connection or connect(road, ANTHROPIC)
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
            self._proxy = self._another()
            if self._near is not None:
                self._near.close()
            self._near = Wire(self._proxy.port)

    def _another(self) -> Mitmdump:
        arguments = ("--set", f"aitap_spool={self._spool}", "--set", "aitap_spool_limit=64m")
        return Mitmdump(
            self._folder, self._confdir, self._far, "clock.py", arguments=arguments, database_url=self.place.url
        )

    def _set_clock(self, ahead: float) -> None:
        # In place: it is mapped.
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(struct.pack("d", ahead))

    def round(self, fault: str, seconds: float = 1.5) -> Outcome:
        """Traffic for so long, in which something is hurt; then everything is mended and counted."""
        self._round += 1
        self.start()
        proxy, near = self._proxy, self._near
        assert proxy is not None
        assert near is not None
        other = self._another() if fault == "pair" else None
        doomed = other or proxy
        outcome = Outcome(fault)
        finished: list[str] = []
        errors: list[str] = []
        alive = threading.Event()
        alive.set()
        end = time.monotonic() + seconds
        roads = [Road(near.port, proxy)] * _CLIENTS
        if other is not None:
            # Half of the people have the proxy that lives on.
            roads[::2] = [Road(other.port, other)] * 2
        safe: list[str] = []
        always = threading.Event()
        always.set()
        clients = [
            threading.Thread(
                target=self._ask,
                args=(number, end, finished, errors, alive, road)
                if other is None or road.port == other.port
                else (number, end, finished, safe, always, road),
            )
            for number, road in enumerate(roads)
        ]
        for client in clients:
            client.start()
        mend: Callable[[], None] = lambda: None  # noqa: E731
        time.sleep(self._chance.uniform(0.05, seconds / 2))
        before = len(errors)
        cut = fault in ("clients", "provider")
        if cut:
            (near if fault == "clients" else self._far).cut(hang=self._chance.random() < 0.5)
            time.sleep(self._chance.uniform(0, seconds / 3))
            (near if fault == "clients" else self._far).mend()
        elif fault == "clock":
            for _ in range(self._chance.choice((1, 1, 3))):
                moments = [moment - time.time() for moment in _MOMENTS]
                self._set_clock(self._chance.choice((*_STEPS, *moments)))
                time.sleep(self._chance.uniform(0, seconds / 6))
            mend = lambda: self._set_clock(0.0)  # noqa: E731
        elif fault.startswith("database") or fault in ("tail", "middle", *NEED_ROOT):
            mend = self._hurt(fault)
            time.sleep(self._chance.uniform(0, seconds / 3))
            before = len(errors)
        victim = fault.rpartition("+")[2]
        if victim == "spool":
            shutil.rmtree(self._spool, ignore_errors=True)
        recorders = doomed.children()
        if victim in ("proxy", "both", "tail", "middle", "pair"):
            alive.clear()
            doomed.process.kill()
        if victim in ("recorder", "both", "tail", "middle"):
            for recorder in recorders:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(recorder, signal.SIGKILL)
        for client in clients:
            client.join()
        if not alive.is_set():
            doomed.process.wait()
        if fault in ("tail", "middle"):
            self._damage(tail=fault == "tail")
        mend()
        outcome.problems += [f"a client of the other proxy broke: {error}" for error in safe]
        if cut:
            # A network that is cut breaks who goes through it; whole and wrong is no answer all the same.
            outcome.problems += [f"a wrong answer: {error}" for error in errors if ": 200, " in error]
            outcome.broken = len(errors)
        elif alive.is_set():
            outcome.problems += [f"a client broke: {error}" for error in errors]
        else:
            outcome.problems += [f"a client broke before the kill: {error}" for error in errors[:before]]
            outcome.broken = len(errors) - before
        try:
            self._settle()
        except AssertionError as error:
            outcome.problems.append(f"{error}; {self._state()}")
        self._judge(outcome, finished)
        if fault in ("recorder", "database+spool") and outcome.lost:
            outcome.problems.append("the proxy lived, and what its recorder had was lost")
        return outcome

    def _hurt(self, fault: str) -> Callable[[], None]:
        """Hurt the database, its disk or that of the spool; the result mends them all."""
        if fault not in NEED_ROOT:
            return self.place.hurt(self._chance)
        assert self._disks is not None, "there are no small disks"
        database, spool = self._disks
        if fault == "readonly":
            return database.write_protect()
        mends = [self.place.hurt(self._chance) if fault == "room" else database.fill()]
        if fault != "room":
            mends.append(self.place.crowd(self._chance))
        if "room" in fault:
            mends.append(spool.fill())

        def mend() -> None:
            for each in mends:
                each()

        return mend

    def _state(self) -> str:
        """What keeps it from being settled."""
        spools = [(left.folder.name[-4:], left.live, left.bytes) for left in left_behind(self._spool, self.place.url)]
        log = (self._folder / "mitmdump.log").read_bytes().decode(errors="replace")
        said = [line for line in log.splitlines() if "aitap" in line or "database" in line]
        return f"spools {spools}, open {self._open()}; the log ends: {' | '.join(said[-12:])}"

    def _damage(self, *, tail: bool) -> None:
        """Damage what a dead proxy left: the end of its newest segment, or any place of any."""
        segments = sorted(
            path for left in left_behind(self._spool, self.place.url) for path in left.folder.glob("*.spool")
        )
        if not segments:
            return
        segment = segments[-1] if tail else self._chance.choice(segments)
        data = bytearray(segment.read_bytes())
        at = self._chance.randrange(len(data))
        page = slice(at & ~4095, (at | 4095) + 1)
        match self._chance.choice(("cut", "zeros", "noise") if tail else ("flip", "page", "gone", "noise", "doubled")):
            case "cut":
                del data[at:]
            case "zeros":
                data[at:] = bytes(len(data) - at)  # what a power cut leaves of blocks that never were written
            case "noise":
                at = len(data) if tail else at
                data[at:at] = self._chance.randbytes(300)
            case "flip":
                data[at] ^= 1 << self._chance.randrange(8)
            case "page":
                data[page] = bytes(len(data[page]))
            case "gone":
                del data[page]
            case "doubled":
                data[at:at] = data[page]
        segment.write_bytes(data)

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
        if untimely := [row for row in self._rows(_OUT_OF_TIME) if row[0] not in self._untimely]:
            self._untimely.update(row[0] for row in untimely)
            outcome.problems.append(f"it ended before it began, or took too long: {untimely[:3]}")
        if len(missing) > outcome.lost:
            outcome.problems.append(f"{len(missing)} missing, {outcome.lost} counted as lost: {missing[:3]}")
        database = open_database(self.place.url, read_only=True)
        try:
            outcome.problems += problems(database)
        finally:
            database.close()

    def close(self) -> None:
        """Stop the proxy."""
        self._far.close()
        if self._near is not None:
            self._near.close()
        if self._proxy is not None:
            self._proxy.stop(timeout=60)
