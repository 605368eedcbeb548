"""The recorder process, seen from the proxy: started, fed without ever blocking, replaced when it dies."""

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

if TYPE_CHECKING:
    import asyncio

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
    """A :class:`aitap.capture.relay.Line` to a recorder in a process of its own.

    All methods are called on the event loop. Raises ``OSError`` where no process can be started.
    """

    def __init__(self, settings: RecorderSettings, loop: asyncio.AbstractEventLoop) -> None:
        self.congested = False
        self.deaths = 0
        self.dropped = 0
        self.report: dict[str, int] = {}
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
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                # -P: nothing is imported from the folder the user happens to stand in.
                [sys.executable, "-P", "-c", _CHILD.format(root=str(_ROOT)), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        ours.setblocking(False)  # noqa: FBT003
        # As much as the system allows: a long request then takes fewer turns of the event loop to hand over.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._line = ours
        self._up = True
        self._loop.add_reader(ours, self._hear)
        self._queue(self._encode(self._settings))

    @property
    def waiting(self) -> int:
        """Bytes that the recorder has not taken yet."""
        return self._bytes

    def send(self, items: list[Any]) -> None:
        """Hand over; what the kernel does not take at once waits. Without a recorder it is lost, and counted."""
        if not self._up:
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
        if not self._writing:
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
        if lines:
            self.report = msgspec.json.decode(lines[-1])

    def _died(self) -> None:
        """Nobody but us ends the recorder: something killed it. What it had not written yet is lost."""
        self.deaths += 1
        self._hang_up()
        logger.error("aitap: the recorder process died; what was open is lost, a new one is started")
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
        return status == 0 and not self.deaths
