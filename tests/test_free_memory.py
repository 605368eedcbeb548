"""Memory that is free goes back to the system."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from aitap.free_memory import GivingBack, hold_little

_FREES = """
import sys
from pathlib import Path
from aitap.free_memory import give_back, hold_little

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

hold_little()
before = resident()
# Every tenth stays and holds the pages round it.
blocks = [bytes(20_000) + b"%d" % number for number in range(5000)]
kept = blocks[::10]
del blocks
full = resident()
give_back()
print(before, full, resident())
"""


@pytest.mark.skipif(not hold_little(), reason="the C library is not glibc")
def test_what_lies_free_between_blocks_that_live_is_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", _FREES], capture_output=True, text=True, check=True, timeout=60)
    before, full, after = map(int, said.stdout.split())
    assert full > before + 60
    assert after < before + 40


@pytest.mark.skipif(not hold_little(), reason="the C library is not glibc")
def test_it_is_done_again_and_again_until_it_is_stopped() -> None:
    twice = threading.Event()
    times = []

    def give() -> None:
        times.append(1)
        if len(times) == 2:
            twice.set()

    giving = GivingBack(0.001, give)
    giving.start()
    assert twice.wait(30)
    giving.stop()
    giving.stop()


def test_one_that_never_began_can_be_stopped() -> None:
    giving = GivingBack()
    giving.stop()
    assert "aitap-memory" not in {thread.name for thread in threading.enumerate() if thread is giving._thread}
