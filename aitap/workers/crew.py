"""The parent of the workers: starts them, starts anew what dies, and ends them when it is told to.

The first worker shows whether a proxy can be had at all: only when it is up do the others start, and if it ends
before, so does everything. From then on a worker that dies is replaced: at once the first time and after good
service, else after a pause that doubles each time. While it pauses, its share of the port goes to the others.

Workers are in sessions of their own, so that Ctrl-C on a terminal reaches the parent alone: SIGINT, SIGTERM and SIGHUP
end all workers in good order, a second one at once; SIGUSR1 is handed on, since mitmproxy heeds it. A parent that is
killed leaves lines that end, which tell the workers (:mod:`aitap.workers.worker`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aitap.settings import METRICS_LINE
from aitap.workers.member import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from aitap.workers.port import Port
    from aitap.workers.reports import Reports

__all__ = ["Crew", "Start"]

_GRACE = 25.0
"""Seconds that a worker has to end in good order: to write what is left may take fifteen."""

_ROOT = Path(__file__).resolve().parents[2]
_CHILD = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from aitap.workers.worker import main; sys.exit(main())"

_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if os.name == "posix" else (signal.SIGTERM, signal.SIGINT)


class Start(NamedTuple):
    """How a worker is started."""

    arguments: Sequence[str]
    """mitmdump's."""
    environ: Mapping[str, str]
    program: str = _CHILD
    """Python, with these arguments: the line's descriptor, those of the sockets with commas between them, then ours."""


class Crew:
    """So many workers on a port. ``say`` tells a person what happens.

    With ``reports`` each worker's recorder gets a line over which it tells what it counts.
    """

    def __init__(
        self, count: int, port: Port, start: Start, say: Callable[[str], None], reports: Reports | None = None
    ) -> None:
        self.restarts = 0
        self._members = [Member(number) for number in range(1, count + 1)]
        self._port = port
        self._how = start
        self._say = say
        self._reports = reports
        self._begun = False
        self._stopping_until: float | None = None
        self._status = 0

    @property
    def up(self) -> int:
        """How many workers are up."""
        return sum(member.up for member in self._members)

    def run(self) -> int:
        """Until all is over; the exit status: 0 where every worker ended well."""
        with _signals() as wake:
            self._start(self._members[0])
            while any(member.process for member in self._members) or (self._begun and self._stopping_until is None):
                for number in self._wait(wake):
                    self._signalled(number)
                self._look()
        return self._status

    # What happens

    def _wait(self, wake: socket.socket) -> bytes:
        """Sleep until something happens or is due; the numbers of the signals that came."""
        dues = [member.due for member in self._members if member.due is not None]
        if self._stopping_until is not None:
            dues.append(self._stopping_until)
        timeout = max(0.0, min(dues) - time.monotonic()) if dues else None
        lines = {member.line: member for member in self._members if member.line is not None}
        readable = select.select([wake, *lines], [], [], timeout)[0]
        for line in readable:
            if line is not wake:
                lines[line].hear()
        return wake.recv(256) if wake in readable else b""

    def _signalled(self, number: int) -> None:
        if number in _ENDS:
            if self._stopping_until is None:
                self._stop()
            else:
                self._kill()
        elif number == getattr(signal, "SIGUSR1", None):
            for member in self._members:
                member.signal(signal.SIGUSR1)

    def _look(self) -> None:
        now = time.monotonic()
        if not self._begun and self._stopping_until is None and self._members[0].up:
            self._begun = True
            for member in self._members[1:]:
                self._start(member)
        for member in self._members:
            if member.ended():
                self._ended(member)
            elif member.due is not None and member.due <= now:
                self._start(member)
        if self._stopping_until is not None and now >= self._stopping_until:
            self._say("aitap: a worker does not end by itself; it is killed")
            self._kill()

    def _ended(self, member: Member) -> None:
        how, status = member.how(), member.bury()
        if self._stopping_until is not None:
            if status not in (0, -signal.SIGTERM):
                self._say(f"aitap: worker {member.number} ended with {how}")
                self._status = 1
        elif not self._begun:
            self._status = max(status, 1)  # mitmproxy has said why
            self._stop()
        else:
            self.restarts += 1
            pause = member.pause()
            when = f"in {pause:g} s" if pause else "now"
            self._say(f"aitap: worker {member.number} ended with {how}; another is started {when}")
            member.due = time.monotonic() + pause
            if pause:
                member.leave_port()

    # What is done

    def _start(self, member: Member) -> None:
        try:
            member.sockets = member.sockets or self._port.open()
            self._spawn(member)
        except OSError as error:
            if not self._begun:
                raise
            member.due = time.monotonic() + member.pause(failed=True)
            self._say(f"aitap: worker {member.number} cannot be started: {error}")

    def _spawn(self, member: Member) -> None:
        with contextlib.ExitStack() as stack:
            ours, theirs = socket.socketpair()
            stack.enter_context(theirs)
            inherited = [theirs.fileno(), *(bound.fileno() for bound in member.sockets)]
            environ = dict(self._how.environ)
            if self._reports is not None:
                line = stack.enter_context(self._reports.line(f"worker {member.number}"))
                inherited.append(line.fileno())
                environ[METRICS_LINE] = str(line.fileno())
            listening = ",".join(str(bound.fileno()) for bound in member.sockets)
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                # -P: nothing is imported from the folder the user happens to stand in.
                [sys.executable, "-P", "-c", self._how.program, str(theirs.fileno()), listening, *self._how.arguments],
                env=environ,
                stdin=subprocess.DEVNULL,
                pass_fds=inherited,
                start_new_session=True,
            )
        member.begin(process, ours)

    def _stop(self) -> None:
        self._stopping_until = time.monotonic() + _GRACE
        for member in self._members:
            member.due = None
            member.leave_port()
            member.signal(signal.SIGTERM)
        self._port.close()

    def _kill(self) -> None:
        # Their recorders go on until all that they were given is written.
        self._stopping_until = time.monotonic() + _GRACE
        for member in self._members:
            member.signal(signal.SIGKILL)


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket on which each signal is a byte, for a while. What was ignored before, as by nohup, stays so."""
    ours, theirs = socket.socketpair()
    numbers = [*_ENDS, signal.SIGCHLD, signal.SIGUSR1]
    before = {number: signal.getsignal(number) for number in numbers}
    theirs.setblocking(False)  # noqa: FBT003
    earlier = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    for number, handler in before.items():
        if handler is not signal.SIG_IGN or number == signal.SIGCHLD:
            signal.signal(number, lambda *_: None)
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(earlier)
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()
