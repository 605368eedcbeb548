"""What a run means: ratios, targets, checks; as a table and as JSON."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bench import litellm
from bench.cases import CASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bench.load import Crowd, Slice
    from bench.rounds import Measured

__all__ = ["HOOK_TARGET", "MEMORY_TARGET", "Figure", "Summary", "as_json", "summarize", "table"]

HOOK_TARGET = {"per_request": 20.0, "per_chunk": 0.1}
"""Microseconds."""
MEMORY_TARGET = 5.0
"""KiB for each open stream."""
GENERATOR_LIMIT = 0.85
"""Above this share of its core the load generator might be what limits, not mitmdump."""


@dataclass(frozen=True)
class Figure:
    """One compared quantity: medians of both variants, and the median, least and most over the rounds' comparisons."""

    plain: float
    other: float
    middle: float
    low: float
    high: float
    target: float | None = None
    verdict: str = ""
    """``ok``, ``MISS``, ``miss?`` where the rounds do not agree on a miss (sign test, 95 %), or nothing."""


@dataclass
class Summary:
    """All figures by case, and what was wrong."""

    base: str
    """With what the variant is compared."""
    variant: str
    figures: dict[str, dict[str, Figure]]
    pooled: dict[str, dict[str, dict[str, float]]]
    """Case, variant: percentiles over all rounds, milliseconds."""
    generator: dict[str, float]
    """Case: the share of one core that the load generator used against plain."""
    memory: float | None
    """KiB a stream more than plain."""
    problems: list[str]
    litellm: dict[str, dict[str, Figure]]
    """Case: requests a second and CPU time against those of LiteLLM's proxy, where it took part."""


def _compare(
    rounds: list[dict[str, Slice]],
    names: tuple[str, str],
    value: Callable[[Slice], float],
    compare: Callable[[float, float], float],
    target: float | None = None,
) -> Figure:
    """Compare round by round. A ratio of speeds must reach its target, any other figure must not exceed it."""
    plain, other = ([value(found[name]) for found in rounds] for name in names)
    each = [compare(a, b) for a, b in zip(other, plain, strict=True)]
    middle = statistics.median(each)
    verdict = ""
    if target is not None:
        sign = -1 if value is _speed else 1
        missed = sum(sign * one > sign * target for one in each)
        verdict = "ok" if sign * middle <= sign * target else "MISS" if _agree(missed, len(each)) else "miss?"
    return Figure(statistics.median(plain), statistics.median(other), middle, min(each), max(each), target, verdict)


def _agree(missed: int, rounds: int) -> bool:
    """Whether chance alone would make so many rounds miss less than once in twenty times."""
    return sum(math.comb(rounds, count) for count in range(missed, rounds + 1)) <= 0.05 * (1 << rounds)


def _ratio(a: float, b: float) -> float:
    return a / b


def _difference(a: float, b: float) -> float:
    return a - b


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which ``share`` of the values lie; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _percentiles(values: list[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    return {name: percentile(values, share) for name, share in shares.items()} | {"count": float(len(values))}


def summarize(measured: Measured, names: tuple[str, str], targets: Mapping[str, float] | None = None) -> Summary:
    """The figures, judged against the targets (each case's own unless given), and every check that failed."""
    figures: dict[str, dict[str, Figure]] = {}
    pooled: dict[str, dict[str, dict[str, float]]] = {}
    generator = {}
    for case, rounds in measured.slices.items():
        wanted = (CASES[case].targets if targets is None else targets).get
        first = _compare(rounds, names, lambda found: statistics.median(found.first), _difference, wanted("first"))
        figures[case] = {"first": first}
        if all(found[name].cpu for found in rounds for name in names):
            cpu = _compare(rounds, names, _cpu, _ratio, wanted("cpu"))
            figures[case]["cpu"] = cpu
        if CASES[case].answer.pace:
            event = _compare(rounds, names, lambda found: statistics.median(found.delays), _difference, wanted("event"))
            figures[case]["event"] = event
        else:
            speed = _compare(rounds, names, _speed, _ratio, wanted("requests"))
            figures[case]["requests"] = speed
        pooled[case] = {}
        for name in names:
            pooled[case][f"first {name}"] = _percentiles([time for found in rounds for time in found[name].first])
            if rounds[0][name].delays:
                delays = [time for found in rounds for time in found[name].delays]
                pooled[case][f"event {name}"] = _percentiles(delays)
        generator[case] = statistics.median(found[names[0]].generator / found[names[0]].seconds for found in rounds)
    problems = _problems(measured, generator)
    memory = _memory(measured, names)
    return Summary(
        names[0], names[1], figures, pooled, generator, memory, problems, _beside_litellm(measured, names[1])
    )


def _beside_litellm(measured: Measured, name: str) -> dict[str, dict[str, Figure]]:
    names = "litellm", name
    figures = {}
    for case, rounds in measured.slices.items():
        if all("litellm" in found for found in rounds):
            figures[case] = {"requests": _compare(rounds, names, _speed, _ratio, litellm.TARGETS[case])}
            if all(found[one].cpu for found in rounds for one in names):
                figures[case]["cpu"] = _compare(rounds, names, _cpu, _ratio)
    return figures


def _cpu(found: Slice) -> float:
    """CPU microseconds of the proxy process for each request."""
    return found.cpu / found.requests * 1e6


def _speed(found: Slice) -> float:
    return found.requests / found.seconds


def _per_stream(crowd: Crowd) -> float:
    return (crowd.rss_open - crowd.rss_before) / 1024 / crowd.streams


def _memory(measured: Measured, names: tuple[str, str]) -> float | None:
    if not all(name in measured.crowd and measured.crowd[name].rss_before for name in names):
        return None
    return _per_stream(measured.crowd[names[1]]) - _per_stream(measured.crowd[names[0]])


def _problems(measured: Measured, generator: dict[str, float]) -> list[str]:
    """Whatever makes the figures worthless: lost rows, failed streams, broken keep-alive."""
    problems = []
    for name, stored in measured.stored.items():
        problems += [
            f"{name}: {measured.answered[name]} requests were answered, but {what} is {found}"
            for what, found in stored.items()
            if found != measured.answered[name]
        ]
    for name, crowd in measured.crowd.items():
        if crowd.errors:
            problems.append(f"{name}: {len(crowd.errors)} of {crowd.streams} slow streams failed: {crowd.errors[0]}")
        if crowd.open_at_once < crowd.streams:
            problems.append(f"{name}: only {crowd.open_at_once} of {crowd.streams} slow streams were open at once")
    if measured.upstream_connections > measured.client_connections:
        problems.append(
            f"{measured.upstream_connections} upstream connections for {measured.client_connections} of clients: "
            "keep-alive did not work"
        )
    answered = sum(measured.answered.values())
    if measured.upstream_requests != answered and not any(crowd.errors for crowd in measured.crowd.values()):
        problems.append(f"the upstream had {measured.upstream_requests} requests for {answered} answered")
    problems += [
        f"{name} printed: {output.splitlines()[0][:200]}"
        for name, output in measured.output.items()
        if output and name != "litellm"
    ]
    problems += [
        f"{case}: the load generator used {share:.0%} of its core"
        for case, share in generator.items()
        if share > GENERATOR_LIMIT
    ]
    return problems


def _grid(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _cells(figure: Figure, digits: int, ratio_digits: int = 3) -> list[str]:
    return [
        f"{figure.plain:.{digits}f}",
        f"{figure.other:.{digits}f}",
        f"{figure.middle:.{ratio_digits}f}",
        f"{figure.low:.{ratio_digits}f}..{figure.high:.{ratio_digits}f}",
        "" if figure.target is None else f"{figure.target:g}",
        figure.verdict,
    ]


def table(summary: Summary, measured: Measured) -> str:
    """The result as plain text."""
    other = summary.variant
    parts = []
    for key, title, digits, comparison in (
        ("requests", "requests/s", 0, "ratio"),
        ("cpu", "CPU us/request", 0, "ratio"),
        ("first", "first event ms", 2, "added"),
        ("event", "event delay ms", 3, "added"),
    ):
        rows = [
            [CASES[case].title, *_cells(figures[key], digits)]
            for case, figures in summary.figures.items()
            if key in figures
        ]
        if rows:
            parts.append(_grid([[title, summary.base, other, comparison, "min..max", "target", ""], *rows]))
    if parts:
        parts.append("medians of the rounds' comparisons; miss? is a miss on which the rounds do not agree")
    rows = [
        [
            f"{CASES[case].title}, {what}",
            *(f"{values[key]:.3f}" for key in ("p50", "p90", "p99")),
            f"{values['count']:.0f}",
        ]
        for case, all_values in summary.pooled.items()
        for what, values in all_values.items()
        if case == "paced"
    ]
    if rows:
        parts.append(_grid([["ms, all rounds", "p50", "p90", "p99", "count"], *rows]))
    rows = [
        [
            CASES[case].title,
            f"{statistics.median(found[other].beside / found[other].requests for found in rounds) * 1e6:.0f}",
        ]
        for case, rounds in measured.slices.items()
        if any(found[other].beside for found in rounds)
    ]
    if rows:
        parts.append(_grid([["recorder process, CPU us/request, on another core", other], *rows]))
    if summary.litellm:
        rows = [["beside LiteLLM with its logging on", "litellm", other, "ratio", "min..max", "target", ""]]
        rows += [
            [f"{CASES[case].title}, {what}", *_cells(figures[key], 0, 2)]
            for key, what in (("requests", "requests/s"), ("cpu", "CPU us/request"))
            for case, figures in summary.litellm.items()
            if key in figures
        ]
        logged = f"{measured.logged} of the {measured.answered['litellm']} requests it answered"
        parts.append(f"{_grid(rows)}\nLiteLLM's proxy wrote down {logged}")
    if measured.crowd:
        parts.append(_crowd_table(summary, measured))
    if measured.hooks:
        parts.append(_hook_table(measured))
    lines = [
        f"{name}: {measured.answered[name]} requests answered, {stored['rows']} rows stored, "
        f"{stored['complete']} of them complete, {stored['with_usage']} with token usage"
        for name, stored in measured.stored.items()
    ]
    lines += [f"PROBLEM {problem}" for problem in summary.problems]
    parts.append("\n".join(lines))
    return "\n\n".join(part for part in parts if part)


def _crowd_table(summary: Summary, measured: Measured) -> str:
    rows = [["slow streams", "streams", "open", "failed", "KiB/stream", "first p50 ms", "event p50", "p99", "CPU s"]]
    rows += [
        [
            name,
            str(crowd.streams),
            str(crowd.open_at_once),
            str(len(crowd.errors)),
            f"{_per_stream(crowd):.1f}",
            f"{percentile(crowd.first, 0.5):.1f}",
            f"{percentile(crowd.delays, 0.5):.2f}",
            f"{percentile(crowd.delays, 0.99):.1f}",
            f"{crowd.cpu:.1f}",
        ]
        for name, crowd in measured.crowd.items()
    ]
    text = _grid(rows)
    if summary.memory is not None:
        text += f"\nadded KiB/stream {summary.memory:+.1f} (target {MEMORY_TARGET:g})"
        # What grows once, whatever the number of streams, would be divided by too few.
        if all(crowd.streams >= 1000 for crowd in measured.crowd.values()):
            text += "  ok" if summary.memory <= MEMORY_TARGET else "  MISS"
        else:
            text += "  not judged with so few streams"
    return text


def _hook_table(measured: Measured) -> str:
    rows = [["time in hooks", "us/request", "median", "target", "", "us/chunk", "median", "target", "", "chunks"]]
    for case, found in measured.hooks.items():
        judged = [
            (mean, median, target)
            for mean, median, target in (
                (found.per_request, found.median_request, HOOK_TARGET["per_request"]),
                (found.per_chunk, found.median_chunk, HOOK_TARGET["per_chunk"]),
            )
        ]
        cells = [CASES[case].title]
        for (mean, median, target), digits in zip(judged, (1, 3), strict=True):
            verdict = "ok" if mean <= target else "MISS"
            cells += [f"{mean:.{digits}f}", f"{median:.{digits}f}", f"{target:g}", verdict]
        if not CASES[case].answer.streamed:
            # With one chunk a request its cost is that of cold code, and small beside the hooks'.
            cells[-2:] = ["", ""]
        rows.append([*cells, str(found.chunks)])
    detail = [["", "calls/request", "mean us", "median", "p99"]]
    for case, found in measured.hooks.items():
        detail += [
            [f"{CASES[case].title}: {name}", *(f"{hook[key]:.2f}" for key in ("per_request", "mean", "median", "p99"))]
            for name, hook in found.hooks.items()
        ]
    empty = min(found.empty for found in measured.hooks.values())
    return f"{_grid(rows)}\nby the same timer an empty function takes {empty:.3f} us\n\n{_grid(detail)}"


def as_json(summary: Summary, measured: Measured) -> dict[str, object]:
    """The result with everything it was made from, ready for JSON."""
    return {"summary": asdict(summary), "measured": asdict(measured)}
