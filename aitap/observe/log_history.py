"""Records of the past as OTLP log records: the same lines that ``log_to = otlp`` sends as they are recorded.

Lines bear the times at which what they tell of happened. They are sent in batches, one after the other, and each
must be taken before the next is made: nothing is dropped, and memory stays bounded.
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord

from aitap.observe.log_lines import lines_of
from aitap.observe.log_otlp import OtlpLog
from aitap.record import Interception, ModelThought, TokenUsage, ToolUsage, UserPrompt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.resources import Resource

__all__ = ["HistoryError", "record_of", "send_history"]

_AT_ONCE = 100
_LINES = 1000
_BYTES = 1 << 20
"""A batch has so many lines, or bytes, at most: a collector takes 4 MiB by gRPC unless it is told to take more."""
_TIMES = {"started_at", "ended_at", "last_prompt_at", "created_at", "result_at"}
_CHILDREN = {
    "token_usages": TokenUsage,
    "user_prompts": UserPrompt,
    "tool_usages": ToolUsage,
    "model_thoughts": ModelThought,
}
_PLAIN = set(Interception.__struct_fields__) - {*_CHILDREN, "lineage", "wire", "contents"}


class HistoryError(Exception):
    """The collector does not take the lines. One line that says how far it got."""


def send_history(rows: Iterable[dict[str, Any]]) -> Iterator[int]:
    """Send interceptions, as :mod:`aitap.storage.rows` gives them; gives how many the collector has taken so far.

    Raises :class:`HistoryError`, and ``ValueError`` where an ``OTEL_*`` variable is wrong.
    """
    gathered = _Gathered()
    log = OtlpLog(lambda _: gathered)
    gathered.resource = log.resource
    log.exporter.silent = True
    sent = 0
    rest = iter(rows)
    try:
        while some := list(islice(rest, _AT_ONCE)):
            for row in some:
                for fields in lines_of(record_of(row), announced=False):
                    log.tell(fields, _time_of(fields), None)
            for lines in _batches(gathered.taken()):
                if log.exporter.export(lines).name != "SUCCESS":
                    why = f", {log.exporter.refused}" if log.exporter.refused else ""
                    raise HistoryError(f"the collector does not take logs{why}; {sent} interceptions were sent before")
            sent += len(some)
            yield sent
    finally:
        log.close(1.0)


def _batches(lines: Sequence[ReadableLogRecord]) -> Iterator[Sequence[ReadableLogRecord]]:
    """The lines in their order, in batches of bounded size; one that is larger by itself is alone."""
    begin = size = 0
    for end, line in enumerate(lines):
        attributes = line.log_record.attributes or {}
        own = sum(len(value.encode()) if isinstance(value, str) else 8 for value in attributes.values())
        if end > begin and (size + own > _BYTES or end - begin == _LINES):
            yield lines[begin:end]
            begin, size = end, 0
        size += own
    if lines:
        yield lines[begin:]


def record_of(row: dict[str, Any]) -> Interception:
    """The record that a stored interception was; what is never stored is not in it."""
    values: dict[str, Any] = _values(row, _PLAIN)
    for name, kind in _CHILDREN.items():
        known = set(kind.__struct_fields__)
        values[name] = [{"provider_response_id": "", **_values(child, known)} for child in row[name]]
    return msgspec.convert({"provider_name": "", **values}, Interception)


def _values(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value).timestamp() if name in _TIMES else value
        for name, value in row.items()
        if name in names and value is not None
    }


def _time_of(fields: dict[str, Any]) -> float:
    """When what a line tells of happened."""
    text = next(fields[name] for name in ("started_at", "created_at", "ended_at") if name in fields)
    return datetime.fromisoformat(text).timestamp()


class _Gathered(LogRecordProcessor):
    """Keeps what is emitted until it is taken."""

    resource: Resource

    def __init__(self) -> None:
        self._lines: list[ReadableLogRecord] = []

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self._lines.append(
            ReadableLogRecord(
                log_record=log_record.log_record,
                resource=log_record.resource or self.resource,
                instrumentation_scope=log_record.instrumentation_scope,
                limits=log_record.limits,
            )
        )

    def taken(self) -> list[ReadableLogRecord]:
        """What was emitted since the last time."""
        lines, self._lines = self._lines, []
        return lines

    def shutdown(self) -> None:
        """Nothing is kept back."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        """Nothing is kept back."""
        return True
