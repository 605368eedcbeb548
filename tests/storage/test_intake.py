"""What waits in memory for the writer."""

from __future__ import annotations

import time

from aitap.storage.intake import Intake, Mark
from tests.storage.making import interception


def test_whoever_is_in_a_hurry_stays_so_until_it_was_taken_though_another_thread_looked() -> None:
    intake = Intake(10, 1 << 20)
    intake.put(interception())
    mark = Mark()
    intake.mark(mark, hurry=True)
    intake.wait(0.0, 0.0, 1000)  # the thread that keeps the spool, which then leaves it to the writer
    begun = time.monotonic()
    intake.wait(0.0, 600.0, 1000)
    assert time.monotonic() - begun < 60
    assert intake.take(10)[-1] is mark
