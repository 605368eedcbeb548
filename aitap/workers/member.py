"""One worker as its parent sees it: its process, its sockets, and how often it has died."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import subprocess

__all__ = ["UP", "Member"]

UP = b"\x01"
"""What a worker says over its line once it records and listens."""

_WELL = 60.0
"""Seconds of service after which a death is the first again."""

_LONGEST = 30.0
"""Seconds of the longest pause."""


class Member:
    """A place among the workers, whoever fills it. ``due`` is when it is to be filled anew, by the monotonic clock."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[bytes] | None = None
        self.line: socket.socket | None = None
        self.sockets: list[socket.socket] = []
        self.up = False
        self.due: float | None = None
        self._since = 0.0
        self._failures = 0

    def begin(self, process: subprocess.Popen[bytes], line: socket.socket) -> None:
        """It has been started."""
        self.process, self.line = process, line
        self.up, self.due, self._since = False, None, time.monotonic()

    def hear(self) -> None:
        """Something came over the line, or its end."""
        if self.line is None:
            return
        try:
            said = self.line.recv(16)
        except OSError:
            said = b""
        if said:
            self.up = self.up or UP in said
        else:
            self._hang_up()

    def ended(self) -> bool:
        """Whether its process is over."""
        return self.process is not None and self.process.poll() is not None

    def how(self) -> str:
        """How it ended, in words."""
        status = self.process.returncode if self.process is not None else 0
        if status >= 0:
            return f"status {status}"
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"signal {-status}"

    def bury(self) -> int:
        """Forget the process that ended; its exit status, below 0 where a signal ended it."""
        status = self.process.returncode if self.process is not None else 0
        self.process = None
        self._hang_up()
        return status

    def pause(self, *, failed: bool = False) -> float:
        """Seconds until it is worth another try: none the first time and after good service, then 1, 2, 4 and so on.

        ``failed`` where it could not even be started.
        """
        served = not failed and time.monotonic() - self._since >= _WELL
        self._failures = 1 if served else self._failures + 1
        return min(_LONGEST, 2.0 ** (self._failures - 2)) if self._failures > 1 else 0.0

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, where there is somebody to get it."""
        if self.process is not None:
            self.process.send_signal(number)

    def leave_port(self) -> None:
        """Let go of the sockets: what waits in them is refused, and the others get what comes."""
        for bound in self.sockets:
            bound.close()
        self.sockets = []

    def _hang_up(self) -> None:
        self.up = False
        if self.line is not None:
            self.line.close()
            self.line = None
