"""The recorder of a forked mitmdump: forked before it, too, and waiting for its word.

It runs the very words that :mod:`aitap.capture.line` would start an interpreter with, with the same files open under
the same numbers and as a child of the proxy. A second recorder, in the place of one that was killed, is a process of
its own as ever; so are those of proxies that are not forked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import subprocess
import sys
from typing import Any, NoReturn

__all__ = ["Standby"]

_OUT_OF_THE_WAY = 200


class Standby:
    """What a recorder's line takes for the module ``subprocess``."""

    DEVNULL = subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self) -> None:
        self._ours: socket.socket | None
        self._ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._ours.close()
            _wait(theirs)
        theirs.close()

    def Popen(self, words: list[str], *, stdin: int, stdout: int, pass_fds: list[int]) -> Any:  # noqa: N802
        """The process that stands by, the first time."""
        assert words[:3] == [sys.executable, "-P", "-c"], "the recorder is started in another way"
        line, self._ours = self._ours, None
        if line is None:
            return subprocess.Popen(words, stdin=stdin, stdout=stdout, pass_fds=pass_fds)
        with line:
            data = json.dumps({"words": words[2:], "numbers": pass_fds}).encode()
            socket.send_fds(line, [len(data).to_bytes(4)], pass_fds)
            line.sendall(data)
        return _Process(self._pid)


class _Process:
    """A child of ours, as much of it as the line needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._end = os.pidfd_open(pid)

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a recorder", timeout or 0.0)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._end)
        return self.returncode


def _wait(theirs: socket.socket) -> NoReturn:
    """Become what is asked for; nothing, where the proxy ends before."""
    status = 1
    try:
        line = socket.socket(fileno=_away(theirs.detach()))
        size, fds, _, _ = socket.recv_fds(line, 4, 8)
        if not size:
            os._exit(0)
        what = json.loads(line.recv(int.from_bytes(size), socket.MSG_WAITALL))
        line.close()
        for fd, number in zip([_away(fd) for fd in fds], what["numbers"], strict=True):
            os.dup2(fd, number)
            os.close(fd)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):
            os.dup2(nothing, number)
        sys.argv = ["-c", *what["words"][2:]]
        exec(what["words"][1], {"__name__": "__main__"})
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - what an interpreter does with it
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def _away(fd: int) -> int:
    """The same file under a number that no other has."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
    os.close(fd)
    return moved
