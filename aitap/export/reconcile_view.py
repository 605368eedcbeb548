"""What a comparison found, for the terminal and as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aitap.export import human
from aitap.reconcile.matching import EXPLAINED, REASONS
from aitap.reconcile.tokens import COUNTERS, Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aitap.reconcile.invoice import Invoice, InvoiceLine
    from aitap.reconcile.matching import Difference, Reconciled
    from aitap.reconcile.session_logs import LogReader

__all__ = ["invoice_json", "invoice_view", "logs_json", "logs_view"]

_SHOWN = 20
_HEADS = dict(zip(COUNTERS, ("IN", "OUT", "CACHED", "WRITTEN"), strict=True)) | {
    "calls": "CALLS",
    "cost_micros": "COST",
}


def logs_json(found: Reconciled, span: tuple[float, float], files: int, readers: Sequence[LogReader]) -> dict[str, Any]:
    """All of it, each difference with the reason and its words."""
    differences = [
        {**msgspec.to_builtins(difference), "at": _moment(difference.at), "explained": difference.reason in EXPLAINED}
        for difference in found.differences
    ]
    days = [
        {"day": day, "client": client, "model": model, **msgspec.to_builtins(totals)}
        for (day, client, model), totals in sorted(found.days.items())
    ]
    return {
        "equal": not found.differ(),
        "since": _moment(span[0]),
        "until": _moment(span[1]),
        "logs": {
            "files": files,
            "calls": found.logged,
            "broken_lines": sum(reader.broken_lines for reader in readers),
            "without_ids": sum(reader.without_ids for reader in readers),
        },
        "recorded": found.recorded,
        "same": found.equal,
        "reasons": {name: {"count": count, "words": REASONS[name]} for name, count in found.reasons().items()},
        "other_clients": found.other_clients,
        "days": days,
        "differences": differences,
    }


def logs_view(found: Reconciled, files: int, readers: Sequence[LogReader], width: int) -> Group:
    """Sums by day and model, then what differs and why."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("DAY", "CLIENT", "MODEL"):
        table.add_column(head, no_wrap=True, overflow="ellipsis")
    for head in ("LOGGED", "RECORDED", "TOKENS LOGGED", "TOKENS RECORDED", "MORE RECORDED"):
        table.add_column(head, justify="right", no_wrap=True)
    for (day, client, model), totals in sorted(found.days.items()):
        more = totals.recorded.total - totals.logged.total
        table.add_row(
            day,
            human.one_line(client),
            human.one_line(model),
            f"{totals.logged_calls:,}",
            f"{totals.recorded_calls:,}",
            f"{totals.logged.total:,}",
            f"{totals.recorded.total:,}",
            Text(f"{more:+,}" if more else "0", style="yellow" if more else "dim"),
        )
    logs = f"{files} session log{'' if files == 1 else 's'}"
    parts: list[RenderableType] = [table] if found.days else []
    parts.append(
        Text(f"\n{found.logged:,} calls in {logs}, {found.recorded:,} recorded: {found.equal:,} are the same.")
    )
    for name, count in found.reasons().items():
        style = "dim" if name in EXPLAINED else "yellow"
        parts.append(Text(f"{count:>6,}  {REASONS[name]}", style=style))
    for client, count in found.other_clients.items():
        parts.append(Text(f"{count:>6,}  recorded of {human.one_line(client)}, whose logs are not read", style="dim"))
    if broken := sum(reader.broken_lines for reader in readers):
        parts.append(Text(f"{broken:>6,}  lines of the logs are no JSON, and left out", style="dim"))
    loud = [difference for difference in found.differences if difference.reason not in EXPLAINED]
    if loud:
        parts += [Text(""), _differences(loud[:_SHOWN], width)]
    if len(loud) > _SHOWN:
        parts.append(Text(f"and {len(loud) - _SHOWN:,} more: --json has all of them", style="dim"))
    return Group(*parts)


def _differences(differences: Sequence[Difference], width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("WHEN", "WHAT", "MODEL", "SESSION", "RESPONSE", "LOGGED", "RECORDED"):
        table.add_column(head, no_wrap=True, overflow="ellipsis")
    for difference in differences:
        table.add_row(
            _moment(difference.at)[:19].replace("T", " "),
            difference.reason.replace("_", " "),
            human.one_line(difference.model),
            human.short_id(difference.session_id),
            human.one_line(difference.response_id) if width >= 120 else human.short_id(difference.response_id),
            _tokens(difference.logged),
            _tokens(difference.recorded),
        )
    return table


def _tokens(tokens: Tokens | None) -> str:
    return human.DASH if tokens is None else "/".join(str(getattr(tokens, name)) for name in COUNTERS)


def invoice_json(invoice: Invoice, provider: str, lines: Sequence[InvoiceLine], left_out: int) -> dict[str, Any]:
    """All of it."""
    return {
        "equal": not any(line.difference for line in lines),
        "invoice": {"form": invoice.form.name, "provider": provider, "rows": invoice.rows},
        "subscription_calls_left_out": left_out,
        "total": {"billed": _total(lines, "billed"), "recorded": _total(lines, "recorded")},
        "lines": [msgspec.to_builtins(line) for line in lines],
    }


def invoice_view(invoice: Invoice, provider: str, lines: Sequence[InvoiceLine], left_out: int) -> Group:
    """A line for each day and model that differs, and one for all."""
    billed, recorded = _total(lines, "billed"), _total(lines, "recorded")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_footer=bool(lines))
    table.add_column("DAY", "Total", no_wrap=True)
    table.add_column("MODEL", no_wrap=True, overflow="ellipsis")
    names = list(billed)
    for name in names:
        footer = _sides(name, billed[name], recorded[name])
        table.add_column(f"{_HEADS[name]} billed/recorded", footer, justify="right", no_wrap=True)
    different = [line for line in lines if line.difference]
    for line in different:
        sides = [
            Text(
                _sides(name, line.billed[name], line.recorded[name]), style="yellow" if name in line.difference else ""
            )
            for name in names
        ]
        table.add_row(line.day, human.one_line(line.model), *sides)
    parts: list[RenderableType] = [table]
    parts.append(
        Text(f"\n{invoice.form.name}, {provider}: {len(lines) - len(different)} of {len(lines)} days and models agree.")
    )
    more = [line for line in different if any(value > 0 for value in line.difference.values())]
    less = [line for line in different if any(value < 0 for value in line.difference.values())]
    if more:
        parts.append(Text(f"{len(more):>6,}  bill more than is recorded: calls that did not go through this proxy,"))
        parts.append(Text("        or that were removed before they were counted; other keys, other machines"))
    if less:
        parts.append(
            Text(f"{len(less):>6,}  bill less than is recorded: another account's calls, or a day not over yet")
        )
    if unmetered := sum(line.unmetered for line in lines):
        parts.append(Text(f"{unmetered:>6,}  recorded calls told no tokens on the wire; they are billed all the same"))
    if left_out:
        parts.append(
            Text(f"{left_out:>6,}  calls by subscription are left out: --subscriptions counts them", style="dim")
        )
    if (unpriced := sum(line.unpriced for line in lines)) and "cost_micros" in billed:
        parts.append(Text(f"{unpriced:>6,}  responses have no price: `aitap usage --unpriced` says why", style="dim"))
    return Group(*parts)


def _total(lines: Sequence[InvoiceLine], side: str) -> dict[str, int]:
    total: dict[str, int] = {}
    for line in lines:
        for name, value in getattr(line, side).items():
            total[name] = total.get(name, 0) + value
    return total


def _sides(name: str, billed: int, recorded: int) -> str:
    if name == "cost_micros":
        return f"{human.money(billed)} / {human.money(recorded)}"
    return f"{billed:,} / {recorded:,}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(max(at, 0.0), UTC).isoformat(timespec="milliseconds")
