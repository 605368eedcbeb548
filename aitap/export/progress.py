"""A bar on stderr for what takes its time, where somebody looks at it."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Bar", "progress_bar"]


class Bar:
    """Counts steps; ``shown`` says whether anybody sees them."""

    def __init__(self, progress: Any = None, task: Any = None) -> None:
        self._progress = progress
        self._task = task

    @property
    def shown(self) -> bool:
        """Whether there is a bar: if not, its total need not be counted."""
        return self._progress is not None

    def total(self, count: int) -> None:
        """So many steps there will be."""
        if self._progress is not None:
            self._progress.update(self._task, total=count)

    def advance(self, steps: int) -> None:
        """So many more are done."""
        if self._progress is not None:
            self._progress.advance(self._task, steps)


@contextlib.contextmanager
def progress_bar(what: str, *, beside: bool = True) -> Iterator[Bar]:
    """A bar that goes when the block ends; none where stderr is no terminal, or nothing may be shown ``beside``."""
    if not beside or not sys.stderr.isatty():
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bar(progress, progress.add_task(what, total=None))
