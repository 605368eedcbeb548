"""A network between two parties that can be cut: connections are reset and refused, or hang without a word."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

__all__ = ["Wire"]


class Wire:
    """Relays connections to loopback's ``port`` on to another port, or to a Unix socket's path."""

    def __init__(self, target: int | str) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._passing = threading.Event()
        self._passing.set()
        self._refusing = False
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, hang: bool) -> Callable[[], None]:
        """Cut it; the result mends it."""
        if hang:
            self._passing.clear()
        else:
            self._refusing = True
            self._reset()
        return self.mend

    def mend(self) -> None:
        """Let connections through again. What hung is reset: its other end may long have given up."""
        self._refusing = False
        if not self._passing.is_set():
            self._reset()
        self._passing.set()

    def _reset(self) -> None:
        with self._lock:
            open_now, self._open = self._open, set()
        for each in open_now:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        """No more."""
        self._closed = True
        self._listener.close()
        self._reset()
        self._passing.set()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._passing.wait()
        try:
            if self._refusing:
                raise ConnectionRefusedError
            if isinstance(self._target, str):
                far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                far.connect(self._target)
            else:
                far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            near.close()
            return
        with self._lock:
            self._open |= {near, far}
        threading.Thread(target=self._relay, args=(near, far), daemon=True).start()
        self._relay(far, near)

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._passing.wait()
                sink.sendall(data)
        with self._lock:
            self._open -= {source, sink}
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
