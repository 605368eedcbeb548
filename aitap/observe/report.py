"""All that one recorder has counted, as it goes to the parent of several workers, and over what.

The parent sends a byte when it wants to know, and gets a frame: four bytes of length, then a :class:`Report` in
MessagePack. When the recorder ends it sends a last one of its own accord, so that nothing counted is missed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from aitap.observe.registry import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aitap.observe.registry import Labels, Registry

__all__ = ["ASK", "Frames", "Report", "Reporting"]

ASK = b"?"

_LAST_SECONDS = 1.0

Value = float | tuple[list[int], float]


class Report(msgspec.Struct, frozen=True, array_like=True):
    """What a recorder has counted since it began."""

    run: str
    """Of this recorder alone, so that one that was started anew is not taken for the one before."""
    trouble: str
    """Why records cannot be written now; empty where they can."""
    series: dict[str, list[tuple[list[str], Value]]]
    """By the metric's name: labels and value, of a histogram its counts and sum."""

    def values(self) -> Iterator[tuple[str, Labels, float | Histogram]]:
        """Each series: name, labels and value."""
        for name, found in self.series.items():
            for labels, value in found:
                yield name, tuple(labels), _histogram(*value) if isinstance(value, tuple) else value


def _histogram(counts: list[int], total: float) -> Histogram:
    found = Histogram(0)
    found.counts, found.sum = counts, total
    return found


class Frames:
    """Cuts what comes over the line into reports, sans-IO."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._decode = msgspec.msgpack.Decoder(Report).decode

    def feed(self, data: bytes) -> list[Report]:
        """The reports that these bytes complete. Raises ``msgspec.MsgspecError`` for what is none."""
        self._data += data
        found = []
        while len(self._data) >= 4 and len(self._data) >= (end := 4 + int.from_bytes(self._data[:4])):
            found.append(self._decode(bytes(self._data[4:end])))
            del self._data[:end]
        return found


class Reporting:
    """The recorder's end, served by a thread. ``trouble`` says why records cannot be written, empty where they can.

    Raises ``OSError`` where ``descriptor`` is no socket.
    """

    def __init__(self, descriptor: int, registry: Registry, trouble: Callable[[], str]) -> None:
        self._line = socket.socket(fileno=descriptor)
        self._run = f"{os.getpid()}-{time.time_ns()}"
        self._registry = registry
        self._trouble = trouble
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="aitap-report", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send a last report, if the parent takes it."""
        self._line.settimeout(_LAST_SECONDS)
        with contextlib.suppress(OSError):
            self._send()
            self._line.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while self._line.recv(256):
                self._send()

    def _send(self) -> None:
        with self._sending:
            frame = msgspec.msgpack.encode(self._report())
            self._line.sendall(len(frame).to_bytes(4) + frame)

    def _report(self) -> Report:
        series: dict[str, list[tuple[list[str], Value]]] = {}
        for metric, found in self._registry.read():
            series[metric.name] = [
                (list(labels), (value.counts, value.sum) if isinstance(value, Histogram) else value)
                for labels, value in found.items()
            ]
        return Report(self._run, self._trouble(), series)
