"""The process that :mod:`tests.forked` forks programs from: it has imported all they need, and does no more.

Not ``aitap.capture.script``, whose import makes what a process has only one of.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

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
from aitap.capture import line as recorder_line
from aitap.export.cli import COMMANDS, main
from tests.standby import Standby

__all__ = ["serve"]


def serve() -> None:
    """Fork one program for each message, and tell of each end, until nobody wants any more."""
    line = socket.socket(fileno=int(sys.argv[1]))
    waker, woken = socket.socketpair()
    waker.setblocking(False)
    woken.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, _ignore)
    _load_commands()
    # What is there by now is nobody's to collect: those that look through it would copy every page of it.
    gc.collect()
    gc.freeze()
    ends: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([line, woken], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                woken.recv(4096)
            _tell(ends)
        if line in ready:
            size, fds, _, _ = socket.recv_fds(line, 4, 4)
            if not size:
                return
            what = json.loads(line.recv(int.from_bytes(size), socket.MSG_WAITALL))
            *files, end = fds
            pid = os.fork()
            if pid == 0:
                for other in (line, waker, woken):
                    other.close()
                os.close(end)
                _become(what["program"], what["command"], what["cwd"], what["env"], files)
            for fd in files:
                os.close(fd)
            ends[pid] = end
            line.sendall(pid.to_bytes(4))


def _load_commands() -> None:
    """What the commands are made of, and what those load that are run most."""
    for where, _ in COMMANDS.values():
        importlib.import_module(where.partition(":")[0])
    for name in ("rich.console", "rich.table", "rich.tree", "rich.progress", "aitap.export.tables"):
        importlib.import_module(name)


def _ignore(number: int, frame: FrameType | None) -> None:
    """The wake-up is all."""


def _tell(ends: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            end = ends.pop(found[0])
            with contextlib.suppress(BrokenPipeError):
                os.write(end, str(os.waitstatus_to_exitcode(found[1])).encode())
            os.close(end)


def _become(program: str, command: list[str], cwd: str, env: dict[str, str], files: list[int]) -> NoReturn:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        for number, fd in enumerate(files):
            os.dup2(fd, number)
            os.close(fd)
        _open_streams()
        start: Callable[[], int | None]
        if program == "mitmdump":
            # Before there is a thread, or anything open that would be its as well.
            recorder_line.subprocess = Standby()  # type: ignore[assignment]
            sys.argv, start = command, mitmdump
            sys.path[0] = str(Path(command[0]).parent)
        else:
            sys.argv, start = ["aitap", *command], main
        status = start() or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - what an interpreter does with it
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _open_streams() -> None:
    """The three as an interpreter makes them at its start."""
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout, sys.stderr = _written(1, "strict"), _written(2, "backslashreplace")
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]


def _written(number: int, errors: str) -> io.TextIOWrapper:
    file = io.FileIO(number, "wb", closefd=False)
    at_once = bool(os.environ.get("PYTHONUNBUFFERED"))
    lines = number == 2 or os.isatty(number)
    buffer: Any = file if at_once else io.BufferedWriter(file)
    return io.TextIOWrapper(buffer, encoding="utf-8", errors=errors, line_buffering=lines, write_through=at_once)
