"""Loaded into mitmdump beside the addon, and by it into the recorder: a clock that a test can set.

The file that ``TEST_CLOCK`` names has the seconds to add to the time, as a double.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

with Path(os.environ["TEST_CLOCK"]).open("r+b") as _file:
    _offset = mmap.mmap(_file.fileno(), 8)

_time, _time_ns = time.time, time.time_ns


def _ahead() -> float:
    return float(struct.unpack("d", _offset[:8])[0])


time.time = lambda: _time() + _ahead()
time.time_ns = lambda: _time_ns() + int(_ahead() * 1e9)

from aitap.capture import line, relay  # noqa: E402 - they take the clock along

relay.now = time.time
_START = "from aitap.capture.serving import main;"
assert line._CHILD.count(_START) == 1, "the recorder is started in another way"
line._CHILD = line._CHILD.replace(_START, f"import tests.proxy.clock; {_START}")
