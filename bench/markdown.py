"""What ``python -m bench.all`` found as Markdown: one table for each part, ready for the README.

A table has what its part left in its JSON; a part that did not run, or failed before it wrote any, has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.cases import CASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["document"]


def document(result: dict[str, Any]) -> str:
    """All tables, the machine above them and what failed below."""
    about = result["machine"]
    versions = f"{about['system'].partition('-')[0]}, Python {about['python']}, mitmproxy {about['mitmproxy']}"
    load = f"load average {about['load_average']} at the start, {result['seconds'] // 60} minutes"
    pieces = [f"{about['cpus']} cores ({about['processor']}), {versions}; {load}."]
    for name, found in result["parts"].items():
        kind, _, database = name.partition(" ")
        pieces.append(_MAKERS[kind](found, _PROPER.get(database, "")))
    pieces += [f"**{name} {why}**" for name, why in result["failed"].items()]
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


_PROPER = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _range(figure: dict[str, Any] | None, digits: int = 2, sign: str = "", unit: str = "") -> str:
    """The median over the rounds, and the least and most of them."""
    if figure is None:
        return ""
    middle, low, high = (f"{figure[name]:{sign}.{digits}f}" for name in ("middle", "low", "high"))
    return f"{middle}{unit} ({low} to {high})"


def _overhead(found: dict[str, Any], _: str) -> str:
    summary = found["summary"]
    rows = [
        [
            CASES[case].title,
            _range(figures.get("requests")),
            _range(figures.get("cpu")),
            _range(figures.get("first"), 1, "+", " ms"),
            _range(figures.get("event"), 2, "+", " ms"),
        ]
        for case, figures in summary["figures"].items()
    ]
    head = (f"{summary['variant']} against {summary['base']}", "requests/s", "CPU", "first event", "event")
    pieces = [_table(head, rows)]
    if summary["litellm"]:
        rows = [
            [CASES[case].title, _range(figures["requests"], 1), _range(figures.get("cpu"), 3)]
            for case, figures in summary["litellm"].items()
        ]
        pieces.append(_table(("against LiteLLM's proxy, its logging on", "requests/s", "CPU"), rows))
    crowd = found["measured"]["crowd"]
    if crowd:
        rows = [
            [
                name,
                str(one["streams"]),
                str(one["open_at_once"]),
                str(len(one["errors"])),
                f"{(one['rss_open'] - one['rss_before']) / 1024 / one['streams']:.0f}",
                f"{one['cpu']:.1f}",
            ]
            for name, one in crowd.items()
        ]
        pieces.append(_table(("slow streams", "streams", "open at once", "failed", "KiB each", "CPU s"), rows))
    pieces += [f"**{problem}**" for problem in summary["problems"]]
    return "\n\n".join(pieces)


def _workers(found: dict[str, Any], _: str) -> str:
    rows = [
        [
            CASES[case].title,
            f"{one['requests'][0]:.0f}",
            f"{one['requests'][1]:.0f}",
            _range(one["ratio"]),
            _range(one["capacity"]),
        ]
        for case, one in found["figures"].items()
    ]
    several = f"{found['workers']} workers"
    return _table((f"{several} against one", "requests/s of one", f"of {several}", "ratio", "ratio of capacity"), rows)


def _writer(found: dict[str, Any], database: str) -> str:
    rows = [
        [*(f"{one[name]:,}" for name in _WRITER), *(f"{one[name]:.2f}" for name in ("ratio", "cpu_ratio"))]
        for one in found["rounds"]
    ]
    head = (f"writer, {database}: units", "units/s", "rows/s", "CPU µs a unit", "of plain inserts", "by CPU")
    return _table(head, rows)


_WRITER = ("units", "units_per_second", "rows_per_second", "cpu_us_per_unit")


def _queries(found: dict[str, Any], database: str) -> str:
    rows = [
        [row["question"], *(f"{row[name]:.1f}" for name in ("median_ms", "slowest_ms", "slowest_cpu_ms"))]
        for row in found["questions"]
    ]
    each = found["bytes"] / max(1, found["interceptions"])
    head = f"{found['interceptions']:,} interceptions in {database}, {each:,.0f} bytes each"
    return _table((head, "median ms", "slowest filter", "its CPU ms"), rows)


def _export(found: dict[str, Any], database: str) -> str:
    rows = [
        [
            f"{row['what']} {row['format']}",
            f"{row['rows']:,}",
            f"{row['rows_a_second']:,}",
            f"{row['rows_a_cpu_second']:,}",
            f"{row['mb_a_second']:,}",
            f"{row['peak_mib']} MiB",
        ]
        for row in found["exports"]
    ]
    head = (f"export from {database}", "rows", "rows/s", "rows a CPU s", "MB/s", "peak of memory")
    return _table(head, rows)


def _retention(found: dict[str, Any], database: str) -> str:
    numbers = (f"{found[name]:,}" for name in ("rows", "rows_per_second_of_steps", "plain_rows_per_second"))
    spreads = (f"{found[name][share]}" for name in ("step_ms", "writer_ms") for share in ("p99", "longest"))
    steps = ("step p99 ms", "longest", "writer p99 ms", "longest")
    head = (f"retention, {database}: rows", "rows/s in steps", "by plain DELETE", *steps)
    return _table(head, [[*numbers, *spreads]])


_MAKERS: dict[str, Callable[[dict[str, Any], str], str]] = {
    "overhead": _overhead,
    "workers": _workers,
    "writer": _writer,
    "queries": _queries,
    "export": _export,
    "retention": _retention,
}
