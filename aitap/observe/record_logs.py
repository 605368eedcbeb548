"""The observer that logs each record, a line for each thing known of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from aitap.observe.log_lines import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.observe.log_formats import TraceIds
    from aitap.observe.log_lines import Fields
    from aitap.record import Interception

__all__ = ["LineSink", "RecordLogs", "Written"]


class LineSink(Protocol):
    """Takes whole lines."""

    def write(self, line: bytes) -> None:
        """One line, with its newline. May block, may raise ``OSError``."""
        ...

    def close(self) -> None:
        """There is no more."""
        ...


class Written:
    """Lines of a form go to a sink."""

    def __init__(self, form: Callable[[Fields, float, TraceIds | None], bytes], sink: LineSink) -> None:
        self._form = form
        self._sink = sink

    def tell(self, fields: Fields, at: float, ids: TraceIds | None) -> None:
        """Write one line. May block, may raise ``OSError``."""
        self._sink.write(self._form(fields, at, ids))

    def close(self, timeout: float) -> None:  # noqa: ARG002 - others need it
        """Every line is out already."""
        self._sink.close()


class Teller(Protocol):
    """Gives out the fields of a line at a time, in what form ever."""

    def tell(self, fields: Fields, at: float, ids: TraceIds | None) -> None:
        """One line, told at ``at`` (epoch seconds)."""
        ...

    def close(self, timeout: float) -> None:
        """Give out the rest within so many seconds."""
        ...


class RecordLogs:
    """An :class:`aitap.observe.observers.Observer`. ``ids`` gives trace and span of a record, where it is traced."""

    name = "the log"

    def __init__(self, teller: Teller, ids: Callable[[Interception], TraceIds] | None = None) -> None:
        self._teller = teller
        self._ids = ids

    def observe(self, record: Interception, *, announced: bool) -> None:
        """Tell what is new of this record."""
        ids = None if self._ids is None else self._ids(record)
        now = time.time()
        for fields in lines_of(record, announced=announced):
            self._teller.tell(fields, now, ids)

    def close(self, timeout: float) -> None:
        """See :class:`aitap.observe.observers.Observer`."""
        self._teller.close(timeout)
