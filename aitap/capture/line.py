"""The recorder process, seen from the proxy: started, fed without ever blocking, replaced when it dies.

What a recorder that died had not made safe is counted: the :class:`Ledger` that it shares with the proxy says how
much that was. What comes until the next one runs waits for it, within the bound.
"""

from __future__ import annotations

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

from aitap.capture.relay import BEGIN, BODY
from aitap.storage.spool.ledger import Ledger

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from aitap.capture.recorder import RecorderSettings

__all__ = ["RecorderLine"]

logger = logging.getLogger(__name__)

_LONG = 64 * 1024
_BUFFER = 4 * 1024 * 1024
_MOST_WAITING = 256 * 1024 * 1024
_ROOT = Path(__file__).resolve().parents[2]
_CHILD = "import sys; sys.path.insert(0, {root!r}); from aitap.capture.recorder import main; sys.exit(main())"
_RESTART_AFTER = 1.0


class RecorderLine:
    """A :class:`aitap.capture.relay.Line` to a recorder in a process of its own, which holds ``lock`` open, too.

    All methods are called on the event loop. Raises ``OSError`` where no process can be started.
    """

    def __init__(
        self,
        settings: RecorderSettings,
        loop: asyncio.AbstractEventLoop,
        ledger: Ledger | None = None,
        lock: int | None = None,
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
        self._ledger = Ledger() if ledger is None else ledger
        self._lock = lock
        self._settings = settings
        self._loop = loop
        self._waiting: deque[memoryview] = deque()
        self._bytes = 0
        self._writing = False
        self._heard = b""
        self._up = False
        self._encode = msgspec.msgpack.Encoder().encode
        self._start()

    def _start(self) -> None:
        if os.name != "posix":
            raise OSError("recording needs Linux or macOS; on Windows, run it in WSL")
        ours, theirs = socket.socketpair()
        reports = self._settings.observe.metrics_line
        inherited = [number for number in (theirs.fileno(), reports, self._lock) if number is not None]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                # -P: nothing is imported from the folder the user happens to stand in.
                [sys.executable, "-P", "-c", _CHILD.format(root=str(_ROOT)), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=inherited,
            )
        ours.setblocking(False)  # noqa: FBT003
        # As much as the system allows: a long request then takes fewer turns of the event loop to hand over.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._line = ours
        self._up = True
        self._loop.add_reader(ours, self._hear)
        # In front of what has waited for a recorder.
        settings = self._encode(self._settings)
        self._waiting.appendleft(memoryview(len(settings).to_bytes(8) + settings))
        self._bytes += len(settings) + 8
        self._write()

    @property
    def waiting(self) -> int:
        """Bytes that the recorder has not taken yet."""
        return self._bytes

    def send(self, items: list[Any]) -> None:
        """Hand over; what the kernel does not take at once waits, and without a recorder all does, within the bound."""
        if not self._up and self.congested:
            self.dropped += len(items)
            return
        for place, item in enumerate(items):
            if item[0] == BEGIN and len(item[4]) > _LONG:
                # By reference: the one copy is the kernel's.
                self._queue(item[4], BODY)
                items[place] = (*item[:4], None)
        try:
            frame = self._encode(items)
        except Exception:
            logger.exception("aitap: some of what passed cannot be handed over")
            frame = self._encode([item for item in items if self._can_go(item)])
        self._queue(frame)

    def _can_go(self, item: Any) -> bool:
        try:
            self._encode(item)
        except Exception:  # noqa: BLE001 - logged and counted by the caller
            self.dropped += 1
            return False
        return True

    def _queue(self, frame: bytes, kind: int = 0) -> None:
        size = (len(frame) | kind).to_bytes(8)
        if len(frame) > _LONG:
            self._waiting += (memoryview(size), memoryview(frame))
        else:
            self._waiting.append(memoryview(size + frame))
        self._bytes += len(frame) + 8
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
            self._waiting.clear()  # the reader hears of it, too, and starts another recorder
            self._bytes = 0
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

    def _died(self) -> None:
        """Nobody but us ends the recorder: something killed it. What it had not made safe yet is lost."""
        self.deaths += 1
        self._hang_up()
        lost = self._ledger.settle(but=self.unsent())
        self.lost += lost
        logger.error(
            "aitap: the recorder process died; %s, a new one is started",
            f"{lost} RECORDS WERE LOST with it" if lost else "no record was lost with it",
        )
        self._loop.call_later(_RESTART_AFTER, self._restart)

    def _restart(self) -> None:
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
        self._waiting.clear()
        self._bytes = 0
        self.congested = False

    @property
    def ended(self) -> bool:
        """Whether the recorder process has ended."""
        return self._process.poll() is not None

    def close(self, timeout: float) -> bool:
        """Hand over what waits, end the line and wait for the recorder; False where something was lost.

        The proxy stops anyway, so this one call may block, for ``timeout`` seconds at most.
        """
        if not self._up:
            return False
        deadline = time.monotonic() + timeout
        self._loop.remove_reader(self._line)
        if self._writing:
            self._loop.remove_writer(self._line)
        try:
            self._line.settimeout(timeout)
            for piece in self._waiting:
                self._line.sendall(piece)
            self._line.shutdown(socket.SHUT_WR)
            status = self._process.wait(max(deadline - time.monotonic(), 0.1))
        except (OSError, subprocess.TimeoutExpired):
            return False
        finally:
            self._line.close()
        return status == 0 and not self.lost and not self.dropped
