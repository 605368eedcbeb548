"""The recorder process, seen from the proxy: started, fed without ever blocking, replaced when it dies.

What a recorder that died had not made safe is given to the next (:mod:`aitap.capture.held`), and so is what comes
until that runs, each within a bound. What is beyond it is counted, by the :class:`Ledger` that the two share.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.held import Held
from aitap.capture.relay import AGAIN, BEGIN, BODY
from aitap.storage.spool.ledger import PROXYS, Ledger

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from aitap.capture.recorder import RecorderSettings
    from aitap.storage.spool.folders import Folder

__all__ = ["RecorderLine"]

logger = logging.getLogger(__name__)

_LONG = 64 * 1024
_BUFFER = 4 * 1024 * 1024
_MOST_WAITING = 256 * 1024 * 1024
_ROOT = Path(__file__).resolve().parents[2]
_CHILD = (
    "import sys; sys.path.insert(0, {root!r}); sys.modules.update(dict.fromkeys(sys.argv[2:])); "
    "from aitap.capture.serving import main; sys.exit(main())"
)
_RESTART_AFTER = 1.0
_TRIES = 5
"""So many recorders in a row may die young with the same in hand: it may be what kills them."""
_YOUNG = 60.0


class RecorderLine:
    """A :class:`aitap.capture.relay.Line` to a recorder in a process of its own, which holds the ``folder``, too.

    All methods are called on the event loop. Raises ``OSError`` where no process can be started.
    """

    def __init__(
        self,
        settings: RecorderSettings,
        loop: asyncio.AbstractEventLoop,
        ledger: Ledger | None = None,
        folder: Folder | None = None,
    ) -> None:
        self.congested = False
        self.deaths = 0
        self.dropped = 0
        self.lost = 0
        """Records that recorders took with them when they died."""
        self.report: dict[str, Any] = {}
        self.on_settled: Callable[[list[int], bool], None] = lambda numbers, kept: None  # noqa: ARG005
        """Called with the numbers of exchanges whose beginnings are safe (True), or are not and will not be (False)."""
        self.unsent: Callable[[], int] = lambda: 0
        """How many beginnings are counted in the ledger that were not handed over yet."""
        self.held = Held()
        """What was handed over, or waits to be, and is not safe."""
        self._ledger = Ledger() if ledger is None else ledger
        self._folder = folder
        self._settings = msgspec.structs.replace(settings, run=os.urandom(16))
        self._loop = loop
        self._waiting: deque[memoryview] = deque()
        self._bytes = 0
        self._writing = False
        self._heard = b""
        self._up = False
        self._over = False
        self._started = 0.0
        self._died_at = -1
        self._died_there = 0
        self._encode = msgspec.msgpack.Encoder().encode
        self._start()

    def _start(self) -> None:
        if os.name != "posix":
            raise OSError("recording needs Linux or macOS; on Windows, run it in WSL")
        ours, theirs = socket.socketpair()
        reports = self._settings.observe.metrics_line
        lock = None if self._folder is None else self._folder.lock
        inherited = [number for number in (theirs.fileno(), reports, lock) if number is not None]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                # -P: nothing is imported from the folder the user happens to stand in.
                [sys.executable, "-P", "-c", _CHILD.format(root=str(_ROOT)), str(theirs.fileno()), *self._unneeded()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=inherited,
            )
        ours.setblocking(False)  # noqa: FBT003
        # As much as the system allows: a long request then takes fewer turns of the event loop to hand over.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._line = ours
        self._up = True
        self._started = time.monotonic()
        self._loop.add_reader(ours, self._hear)
        self._waiting = deque([_framed(self._encode(self._settings))])
        if self.deaths:
            first, fresh = self.held.again(self._bytes)
            again = (AGAIN, 0, time.time(), first, fresh)
            self._waiting.append(_framed(self._encode([again, *self.held.sockets])))
            self._waiting += self.held.pieces()
        self._bytes = sum(map(len, self._waiting))
        self._write()

    def _hold_spool(self) -> None:
        """Somebody may have removed it: the next recorder is to find a folder, and what was counted so far."""
        if self._folder is not None:
            with contextlib.suppress(OSError):  # the recorder tells when it needs it
                self._folder.hold()
                self._ledger.restore(PROXYS)

    def _unneeded(self) -> list[str]:
        """Drivers that Peewee would import only because they are there: half of the start, a third of the memory."""
        return ["psycopg"] if self._settings.database_url.startswith("sqlite:") else []

    @property
    def waiting(self) -> int:
        """Bytes that the recorder has not taken yet."""
        return self._bytes

    def send(self, items: list[Any]) -> None:
        """Hand over; what the kernel does not take at once waits, and without a recorder all does, within the bound."""
        if not self._up and self.congested:
            self.dropped += len(items)
            return
        bodies: list[bytes] = []
        begun = 0
        for place, item in enumerate(items):
            if item[0] == BEGIN:
                begun += 1
                if len(item[4]) > _LONG:
                    # By reference: the one copy is the kernel's.
                    bodies.append(item[4])
                    items[place] = (*item[:4], None)
        try:
            frame = self._encode(items)
        except Exception:
            logger.exception("aitap: some of what passed cannot be handed over")
            mended = list(map(self._mended, items))
            whose = (place for place, item in enumerate(items) if item[0] == BEGIN and item[4] is None)
            bodies = [body for body, place in zip(bodies, whose, strict=True) if mended[place] is not None]
            good = [item for item in mended if item is not None]
            begun = sum(item[0] == BEGIN for item in good)
            frame = self._encode(good)
        self._queue([piece for body in bodies for piece in _pieces(body, BODY)] + _pieces(frame), begun)

    def _mended(self, item: Any) -> Any:
        """An item that can be handed over: without halves of characters, which no line takes; None where it cannot."""
        for mend in (tuple, _as_unicode):
            with contextlib.suppress(Exception):  # logged by the caller, and counted here
                found = mend(item)
                self._encode(found)
                return found
        self.dropped += 1
        return None

    def _queue(self, pieces: list[memoryview], begun: int) -> None:
        size = sum(map(len, pieces))
        self._waiting += pieces
        self._bytes += size
        self.held.add(pieces, size, begun, self._bytes)
        self.congested = self._bytes > _MOST_WAITING
        if self._up and not self._writing:
            self._write()

    def _write(self) -> None:
        try:
            while self._waiting:
                piece = self._waiting[0]
                sent = self._line.send(piece)
                self._bytes -= sent
                if sent == len(piece):
                    self._waiting.popleft()
                else:
                    self._waiting[0] = piece[sent:]
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._line, self._write)
            return
        except OSError:
            pass  # the reader hears of it, too, and starts another recorder
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._line)
        self.congested = self._bytes > _MOST_WAITING

    def _hear(self) -> None:
        try:
            heard = self._line.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if not heard:
            self._died()
            return
        *lines, self._heard = (self._heard + heard).split(b"\n")
        for line in lines:
            told = msgspec.json.decode(line)
            if "settled" in told:
                self.on_settled(told["settled"], told["kept"])
            else:
                self.report = told
                self.held.let_go(told["needed"], told["wanted"])
                self._hold_spool()

    def _died(self) -> None:
        """Nobody but us ends the recorder: something killed it."""
        self._hang_up()
        self._hold_spool()
        self._bury()
        self._loop.call_later(_RESTART_AFTER, self._restart)

    def _bury(self) -> None:
        """What the dead recorder had not made safe is for the next, unless all that are given it die."""
        self.deaths += 1
        again = self.held.first == self._died_at and time.monotonic() - self._started < _YOUNG
        self._died_there = self._died_there + 1 if again else 1
        if self._died_there >= _TRIES:
            self.held.give_up(self._bytes)
            self._died_there = 0
        self._died_at = self.held.first
        missing = self.held.missing
        lost = self._ledger.settle(but=self.unsent() + self.held.begun)
        lost = 0 if missing is None else max(missing, lost)
        self.lost += lost
        logger.error(
            "aitap: the recorder process died; %s, a new one is started",
            f"{lost} RECORDS WERE LOST with it" if lost else "no record was lost with it",
        )

    def _restart(self) -> None:
        if self._over:
            return
        try:
            self._start()
        except OSError as error:
            logger.error("aitap: no recorder process can be started: %s", error)  # noqa: TRY400
            self._loop.call_later(10 * _RESTART_AFTER, self._restart)

    def _hang_up(self) -> None:
        self._up = False
        self._heard = b""
        self._loop.remove_reader(self._line)
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._line)
        self._line.close()
        # Whatever the dead one may have read of what is held, this much it cannot.
        self._bytes = min(sum(map(len, self._waiting)), self.held.bytes)
        self._waiting.clear()

    @property
    def ended(self) -> bool:
        """Whether the recorder process has ended."""
        return self._process.poll() is not None

    def close(self, timeout: float) -> bool:
        """Hand over what waits, end the line and wait for the recorder; False where something was lost.

        The proxy stops anyway, so this one call may block, for ``timeout`` seconds at most.
        """
        deadline = time.monotonic() + timeout
        self._over = True
        for last in (False, True):
            if not self._up:
                try:
                    self._start()
                except OSError:
                    return False
            status = self._end(deadline)
            if last or status is None or status >= 0 or time.monotonic() > deadline:
                break
            # Killed now, it leaves what is held to another, as ever.
            self._bury()
        return status == 0 and not self.lost and not self.dropped

    def _end(self, deadline: float) -> int | None:
        """Hand over what waits and end the line; the recorder's exit status, None where it takes too long."""
        self._loop.remove_reader(self._line)
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._line)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its status tells
                self._line.settimeout(max(deadline - time.monotonic(), 0.1))
                for piece in self._waiting:
                    self._line.sendall(piece)
                self._line.shutdown(socket.SHUT_WR)
            return self._process.wait(max(deadline - time.monotonic(), 0.1))
        except (OSError, subprocess.TimeoutExpired):
            return None
        finally:
            self._up = False
            self._line.close()
            self._waiting.clear()
            self._bytes = 0


def _framed(frame: bytes) -> memoryview:
    return memoryview(len(frame).to_bytes(8) + frame)


def _pieces(frame: bytes, kind: int = 0) -> list[memoryview]:
    """A frame as it goes over the line; a long one is not copied."""
    size = (len(frame) | kind).to_bytes(8)
    return [memoryview(size), memoryview(frame)] if len(frame) > _LONG else [memoryview(size + frame)]


def _as_unicode(value: Any) -> Any:
    """The same with ``?`` for halves of surrogate pairs."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_as_unicode(key): _as_unicode(item) for key, item in value.items()}
    return tuple(map(_as_unicode, value)) if isinstance(value, (list, tuple)) else value
