"""mitmdump without waiting for Python to import it each time: forked from a process that has.

What runs is the real mitmdump with its own arguments, environment, folder and output, in a process of its own that can
be killed like any other. It only skips the second and a half in which an interpreter starts and reads mitmproxy and
aitap from the disk, which hundreds of tests would spend one after the other. One thing it cannot: what others see as
its command line is that of the process it was forked from, so tests of that start a mitmdump of their own.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Forked", "can_fork"]

can_fork = sys.platform == "linux"
"""Elsewhere an end cannot be waited for without being its parent, and forking is not to be relied on."""

_one_at_a_time = threading.Lock()


class Forked:
    """As much of :class:`subprocess.Popen` as tests use."""

    def __init__(self, command: Sequence[str | Path], cwd: Path, env: Mapping[str, str], output: int) -> None:
        ours, theirs = os.pipe()
        what = {"command": [str(word) for word in command], "cwd": str(cwd), "env": dict(env)}
        data = json.dumps(what).encode()
        with _one_at_a_time:
            line = _forker()
            socket.send_fds(line, [len(data).to_bytes(4)], [output, theirs])
            line.sendall(data)
            self.pid = int.from_bytes(line.recv(4, socket.MSG_WAITALL))
        os.close(theirs)
        self._end = ours
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status; raises :class:`subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("mitmdump", timeout or 0.0)
            self.returncode = int(os.read(self._end, 16) or b"-1")
            os.close(self._end)
        return self.returncode

    def send_signal(self, which: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, which)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


@functools.cache
def _forker() -> socket.socket:
    """The line to the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(
            [sys.executable, "-c", "from tests.proxy.forker import serve; serve()", str(theirs.fileno())],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return ours
