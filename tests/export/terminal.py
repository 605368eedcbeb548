"""A command on a terminal of a certain width, as a person sees it."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

from tests.forked import Forked, can_fork

__all__ = ["on_terminal"]


def on_terminal(width: int, *args: str, interrupt_at: str | None = None, **variables: str) -> tuple[int, str]:
    """Exit status and screen text (without colours) of ``aitap ARGS``; interrupted once it shows a text. POSIX only."""
    import fcntl  # noqa: PLC0415 -- Windows has none of the three
    import pty  # noqa: PLC0415
    import termios  # noqa: PLC0415

    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
    environment |= {"TERM": "xterm-256color"} | variables
    process: subprocess.Popen[bytes] | Forked
    if can_fork:
        process = Forked("aitap", args, Path.cwd(), environment, (terminal, terminal, terminal))
    else:
        command = [sys.executable, "-m", "aitap", *args]
        process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    output = b""
    while True:
        try:
            piece = os.read(screen, 65536)
        except OSError:
            break
        if not piece:
            break
        output += piece
        if interrupt_at and interrupt_at.encode() in output:
            process.send_signal(signal.SIGINT)
            interrupt_at = None
    os.close(screen)
    text = output.decode().replace("\r\n", "\n")
    return process.wait(60), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
