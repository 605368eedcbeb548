"""A bar on stderr for what takes its time, where somebody looks at it."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Bar", "progress_bar", "watched"]

T = TypeVar("T")


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

    def reached(self, count: int) -> None:
        """So many are done in all."""
        if self._progress is not None:
            self._progress.update(self._task, completed=count)


@contextlib.contextmanager
def progress_bar(what: str, *, total: int | None = None, of_bytes: bool = False, beside: bool = True) -> Iterator[Bar]:
    """A bar that goes when the block ends; none where stderr is no terminal, or nothing may be shown ``beside``.

    ``total`` may be told later, or be unknown; steps are counted as they are, or as sizes where they are ``of_bytes``.
    """
    if not beside or not sys.stderr.isatty():
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    steps = DownloadColumn() if of_bytes else MofNCompleteColumn()
    # No markup: what is worked at may be a file's name.
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), steps, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bar(progress, progress.add_task(what, total=total))


def watched(steps: Iterable[T], what: str, total: int, done: Callable[[T], int]) -> Iterator[T]:
    """The steps, with a bar that stands where ``done`` says of the last."""
    with progress_bar(what, total=total) as bar:
        for state in steps:
            bar.reached(done(state))
            yield state
