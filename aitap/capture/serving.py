"""The recorder's process, which serves the line from its parent, the proxy.

Frames come over it: eight bytes of length, then a MessagePack array of the tuples of :mod:`aitap.capture.relay`.
Long request bodies come in frames of their own before it (bit 63 of the length is set), in the order of the tuples
that have None in their place. Lines of JSON go back: how things stand, and which beginnings are safe.

It goes on until the line ends, whatever becomes of the parent: after a ``kill -9`` of the proxy everything
that was handed over is still recorded, and what was open is marked as interrupted. Signals that end the
proxy are not for it. On a busy machine the traffic goes first, until the records are a second behind it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Any

import msgspec

from aitap.capture.courtesy import Courtesy
from aitap.capture.frames import Frames
from aitap.capture.recorder import Recorder, RecorderSettings
from aitap.free_memory import GivingBack

__all__ = ["main"]

logger = logging.getLogger(__name__)

_REPORT_EVERY = 0.5
_READ = 1 << 20
_BEHIND, _CAUGHT_UP = 1.0, 0.25
"""Seconds by which what is read is older than now."""
_NICE = 5
"""Of threads that write and tell, and of the decoding while it is behind: each has a third of the weight of the proxy,
which takes four times as long for a request as all of them."""


class _Speaker:
    """Says things to the proxy, from any thread, as long as it listens."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._lock = threading.Lock()

    def say(self, told: dict[str, Any]) -> None:
        """One line of JSON."""
        with self._lock, contextlib.suppress(OSError):
            self._line.sendall(msgspec.json.encode(told) + b"\n")

    def settled(self, numbers: list[int], kept: bool) -> None:  # noqa: FBT001 - as it is called
        """The beginnings of these exchanges are safe, or are not and will not be."""
        self.say({"settled": numbers, "kept": kept})

    def report(self, recorder: Recorder, over: threading.Event) -> None:
        """Tell how things stand, again and again."""
        last: dict[str, Any] = {}
        while not over.wait(_REPORT_EVERY):
            report = recorder.report()
            if report != last:
                last = report
                self.say(report)


class _Service:
    """Reads the line, step by step."""

    def __init__(self, line: socket.socket) -> None:
        self.over = threading.Event()
        self.recorder: Recorder | None = None
        self._line = line
        self._frames = Frames()
        self._speaker = _Speaker(line)
        self._lag = 0.0
        self._is_behind = False

    def step(self) -> bool:
        """Wait for something, and take it; False once the line has ended."""
        recorder = self.recorder
        waiting = recorder.pipeline.announce() if recorder is not None else None
        if not select.select([self._line], [], [], waiting)[0]:
            return True
        data = self._line.recv(_READ)
        if not data:
            return False
        for items in self._frames.feed(data):
            if self.recorder is None:
                self._begin(items)
            else:
                self.recorder.take(items)
                self._lag = time.time() - items[-1][2] if items else 0.0
        return True

    def is_behind(self) -> bool:
        """Whether there is much to catch up with."""
        self._is_behind = self._lag > (_CAUGHT_UP if self._is_behind else _BEHIND)
        return self._is_behind

    def _begin(self, settings: Any) -> None:
        """The first frame, since a command line can be read by anyone."""
        self.recorder = Recorder(msgspec.convert(settings, RecorderSettings), self._speaker.settled)
        threading.Thread(target=self._speaker.report, args=(self.recorder, self.over), daemon=True).start()


def main() -> int:
    """Serve the line whose file descriptor is the only argument. Exit status 1 where something was lost."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICE)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    GivingBack().start()
    service = _Service(socket.socket(fileno=int(sys.argv[1])))
    try:
        # The recorder is made here, so that its threads are as quick as this one.
        while service.recorder is None and service.step():
            pass
        if service.recorder is not None:
            Courtesy().run(service.step, service.is_behind)
    except OSError as error:
        logger.warning("aitap: the line to the proxy broke, recording what has come over it: %s", error)
    service.over.set()
    return 0 if service.recorder is None or service.recorder.close() else 1
