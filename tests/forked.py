"""Programs of ours without waiting for Python to import them each time: forked from a process that has.

What runs is the real program with its own arguments, environment, folder and files, in a process of its own that can
be killed like any other. It only skips the second or two in which an interpreter starts and reads mitmproxy and aitap
from the disk, which hundreds of tests would spend one after the other; so does the recorder that a mitmdump starts.
Two things it cannot: what others see as its command line is that of the process it was forked from, and the
interpreter's own end does not come. Tests of these start a process of their own, and a few others do, so that the
whole way is gone as well.
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
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

__all__ = ["Forked", "aitap", "can_fork"]

CHECKOUT = Path(__file__).parents[1]

can_fork = sys.platform == "linux"
"""Elsewhere an end cannot be waited for without being its parent, and forking is not to be relied on."""

_one_at_a_time = threading.Lock()


class Forked:
    """As much of :class:`subprocess.Popen` as tests use. ``files`` are what it has as stdin, stdout and stderr."""

    def __init__(
        self,
        program: Literal["mitmdump", "aitap"],
        command: Sequence[str | Path],
        cwd: Path,
        env: Mapping[str, str],
        files: tuple[int, int, int],
    ) -> None:
        ours, theirs = os.pipe()
        what = {"program": program, "command": [str(word) for word in command], "cwd": str(cwd), "env": dict(env)}
        data = json.dumps(what).encode()
        with _one_at_a_time:
            line = _forker()
            socket.send_fds(line, [len(data).to_bytes(4)], [*files, theirs])
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
                raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
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


def aitap(*arguments: str, timeout: float = 120, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of this checkout to its end."""
    command = [sys.executable, "-m", "aitap", *arguments]
    if not can_fork:
        return subprocess.run(
            command,
            cwd=CHECKOUT,
            env=os.environ | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    # In files, which nobody has to read while it runs.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open("rb") as nothing:
        files = (nothing.fileno(), out.fileno(), err.fileno())
        process = Forked("aitap", arguments, CHECKOUT, os.environ | environ, files)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command, status, out.read().decode(), err.read().decode())


@functools.cache
def _forker() -> socket.socket:
    """The line to the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(
            [sys.executable, "-c", "from tests.forker import serve; serve()", str(theirs.fileno())],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return ours
