"""Prometheus' text format, version 0.0.4: what a registry holds, as the scraper reads it.

See https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.observe.metric_table import COMPATIBLE_PREFIX, PREFIX
from aitap.observe.registry import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aitap.observe.registry import Metric, Series

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_TEXT = str.maketrans({"\\": "\\\\", "\n": "\\n"})
_VALUE = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


def exposition(read: Iterable[tuple[Metric, Series]], *, compatible: bool = False) -> str:
    """All series; ``compatible`` gives those that the reference has by its names, too."""
    lines: list[str] = []
    for metric, series in read:
        lines += _family(f"{PREFIX if metric.prefixed else ''}{metric.name}", metric, series)
        if compatible and metric.compatible:
            lines += _family(f"{COMPATIBLE_PREFIX}{metric.name}", metric, series)
    return "\n".join(lines) + "\n" if lines else ""


def _family(name: str, metric: Metric, series: Series) -> Iterator[str]:
    yield f"# HELP {name} {metric.help.translate(_TEXT)}"
    yield f"# TYPE {name} {metric.kind}"
    labels = [label.replace(".", "_") for label in metric.labels]
    for key, value in series.items():
        given = [f'{label}="{_said(text)}"' for label, text in zip(labels, key, strict=True)]
        if isinstance(value, Histogram):
            yield from _histogram(name, metric.buckets, given, value)
        else:
            yield f"{name}{_braced(given)} {_number(value)}"


def _histogram(name: str, bounds: Sequence[float], given: list[str], value: Histogram) -> Iterator[str]:
    count = 0
    for bound, here in zip((*bounds, float("inf")), value.counts, strict=True):
        count += here
        le = f'le="{_number(bound)}"'
        yield f"{name}_bucket{_braced([*given, le])} {count}"
    yield f"{name}_sum{_braced(given)} {_number(value.sum)}"
    yield f"{name}_count{_braced(given)} {count}"


def _braced(given: list[str]) -> str:
    return f"{{{','.join(given)}}}" if given else ""


def _said(text: str) -> str:
    return text.encode("utf-8", "replace").decode().translate(_VALUE)


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
