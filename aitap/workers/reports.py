"""What the recorders of all workers count, as one: a scraper sees one proxy, however many processes it has.

Counters and histograms are sums. What a recorder that has ended had counted stays in them, since a counter that
falls looks to Prometheus like a new start, and everything that is left in it like news. Gauges are those of the
recorders that live: sums too, unless they are of something shared (see ``across`` in the table of metrics).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from aitap.observe.registry import Registry
from aitap.observe.report import ASK, Frames, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aitap.observe.registry import Metric, Series

__all__ = ["Reports"]

_PATIENCE = 2.0
"""Seconds that a scrape waits for recorders; of one that is slower, what it said last counts."""


class Reports:
    """The parent's ends of the lines. ``table`` are the metrics; ``own`` adds what the parent itself counts."""

    def __init__(self, table: Sequence[Metric], own: Callable[[Registry], None] = lambda _: None) -> None:
        self._table = list(table)
        self._own = own
        self._past = Registry(self._table)
        self._lines: list[_Line] = []
        self._changed = threading.Condition()

    def line(self, name: str) -> socket.socket:
        """The recorder's end of a new line; to be inherited by a worker, then closed here."""
        ours, theirs = socket.socketpair()
        line = _Line(name, ours)
        with self._changed:
            self._lines.append(line)
        threading.Thread(target=self._hear, args=(line,), name="aitap-reports", daemon=True).start()
        return theirs

    def read(self) -> list[tuple[Metric, Series]]:
        """Every metric that has series, as all recorders have it now."""
        self._ask()
        fresh = Registry(self._table)
        with self._changed:
            for metric, series in self._past.read():
                for labels, value in series.items():
                    fresh.join(metric.name, labels, value)
            for line in self._lines:
                _join(fresh, line.report)
        self._own(fresh)
        return fresh.read()

    def trouble(self) -> str:
        """Why some recorder cannot write, in a line; empty where all can, as far as they answer."""
        self._ask()
        with self._changed:
            told = {line.report.trouble: line.name for line in self._lines if line.report and line.report.trouble}
        return "; ".join(f"{name}: {trouble}" for trouble, name in told.items())

    def _ask(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        with self._changed:
            asked = [(line, line.count) for line in self._lines]
        for line, _ in asked:
            line.ask()
        with self._changed:
            self._changed.wait_for(
                lambda: all(line.over or line.count > count for line, count in asked),
                max(0.0, deadline - time.monotonic()),
            )

    def _hear(self, line: _Line) -> None:
        frames = Frames()
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            while data := line.ours.recv(1 << 16):
                for report in frames.feed(data):
                    with self._changed:
                        if line.report is not None and line.report.run != report.run:
                            self._retire(line.report)
                        line.report = report
                        line.count += 1
                        self._changed.notify_all()
        with self._changed:
            line.over = True
            self._lines.remove(line)
            if line.report is not None:
                self._retire(line.report)
            self._changed.notify_all()
        line.ours.close()

    def _retire(self, report: Report) -> None:
        _join(self._past, report, gauges=False)


class _Line:
    """A line to one worker's recorder, and what came over it last."""

    def __init__(self, name: str, ours: socket.socket) -> None:
        self.name = name
        self.ours = ours
        self.report: Report | None = None
        self.count = 0
        self.over = False
        # A recorder that does not read does not hold up whoever asks.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def ask(self) -> None:
        with contextlib.suppress(OSError):
            self.ours.send(ASK, socket.MSG_DONTWAIT)


def _join(registry: Registry, report: Report | None, *, gauges: bool = True) -> None:
    for name, labels, value in report.values() if report is not None else ():
        metric = registry.metrics.get(name)
        if metric is not None and (gauges or metric.kind != "gauge"):
            registry.join(name, labels, value)
