"""The process that :mod:`tests.proxy.forked` forks mitmdumps from: it has imported all they need, and does no more.

Not ``aitap.capture.script``, whose import makes what a process has only one of.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from mitmproxy.tools.main import mitmdump

import aitap.access.decryption.decryption
import aitap.access.egress.egress
import aitap.access.gate.gate
import aitap.access.limits.limits
import aitap.access.policy.policy
import aitap.capture.addon
import aitap.certs.site
import aitap.certs.watch
import aitap.observe.passing  # noqa: F401

__all__ = ["serve"]


def serve() -> None:
    """Fork one mitmdump for each message, and tell of each end, until nobody wants any more."""
    line = socket.socket(fileno=int(sys.argv[1]))
    waker, woken = socket.socketpair()
    waker.setblocking(False)
    woken.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, _ignore)
    ends: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([line, woken], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                woken.recv(4096)
            _tell(ends)
        if line in ready:
            size, fds, _, _ = socket.recv_fds(line, 4, 2)
            if not size:
                return
            what = json.loads(line.recv(int.from_bytes(size), socket.MSG_WAITALL))
            output, end = fds
            pid = os.fork()
            if pid == 0:
                for other in (line, waker, woken):
                    other.close()
                _become(what["command"], what["cwd"], what["env"], output)
            os.close(output)
            ends[pid] = end
            line.sendall(pid.to_bytes(4))


def _ignore(number: int, frame: FrameType | None) -> None:
    """The wake-up is all."""


def _tell(ends: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            end = ends.pop(found[0])
            with contextlib.suppress(BrokenPipeError):
                os.write(end, str(os.waitstatus_to_exitcode(found[1])).encode())
            os.close(end)


def _become(command: list[str], cwd: str, env: dict[str, str], output: int) -> NoReturn:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
        sys.argv = command
        sys.path[0] = str(Path(command[0]).parent)
        status = mitmdump() or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - what an interpreter does with it
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
