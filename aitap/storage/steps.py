"""Long work in transactions so short that writing never waits for them."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LARGEST", "sized"]

_TARGET_SECONDS = 0.025
_LONGEST_TARGET = 0.035
"""What a step may aim at where hardly any of its time is for the rows."""
_SMALLEST, LARGEST = 16, 1000
_LOOKED_AT = 3
"""Of so many steps the quickest says how large the next may be."""
_SLOW_SECONDS = 0.2
"""A step that takes so long is made smaller than the smallest."""


def sized(step: Callable[[int], int]) -> Iterator[int]:
    """Repeat a step until it does less than it was asked for; its size follows the time that it takes."""
    size, quickest = _SMALLEST, _LONGEST_TARGET
    rates: deque[float] = deque(maxlen=_LOOKED_AT)
    while True:
        begun = time.perf_counter()
        done = step(size)
        spent = time.perf_counter() - begun
        yield done
        if done < size:
            break
        # What a step costs with hardly a row in it cannot be saved by more steps.
        quickest = min(quickest, spent)
        target = max(_TARGET_SECONDS, min(2 * quickest, _LONGEST_TARGET))
        least = _SMALLEST if spent < _SLOW_SECONDS else 1
        # One that had to wait for the processor or the disk says little of the next.
        rates.append(size / spent)
        size = max(least, min(LARGEST, 2 * size, int(max(rates) * target)))
