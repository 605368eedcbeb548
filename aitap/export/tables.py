"""Tables of records that fit the terminal: the wider it is, the more columns they have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from aitap.export import human
from aitap.record import UNKNOWN
from aitap.storage.threads import cost_sum, token_sum

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "OUTCOME_STYLES",
    "host_table",
    "interception_table",
    "key_table",
    "purpose",
    "session_table",
    "story",
    "user_table",
]

OUTCOME_STYLES = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "interrupted": "yellow",
    "in_flight": "cyan",
}

Record = dict[str, Any]


_BETWEEN = 2
"""Cells between two columns."""


class _Column(msgspec.Struct, kw_only=True):
    """One column: ``since`` is the width of the terminal from which it is shown, ``width`` its own."""

    header: str
    cell: Callable[[Record, datetime], str | Text]
    width: int
    since: int = 0
    until: int = 10_000
    right: bool = False
    style: str = ""


def _tokens(name: str) -> Callable[[Record, datetime], str]:
    return lambda record, _: human.count(token_sum([record])[name])


def _session_tokens(name: str) -> Callable[[Record, datetime], str]:
    return lambda record, _: human.count(record["token_usage_summary"][name])


def _cost(record: Record, _: datetime) -> str:
    cost = cost_sum([record])
    return human.money(cost["cost_micros"], more=bool(cost["unpriced"]))


def _session_cost(record: Record, _: datetime) -> str:
    return human.money(record["cost_micros"], more=bool(record["unpriced"]))


def _outcome(record: Record, _: datetime) -> Text:
    return Text(human.outcome(record), style=OUTCOME_STYLES.get(record["outcome"], ""))


def _user(record: Record, _: datetime) -> str:
    initiator = record["initiator"]
    return human.one_line(initiator["username"] or human.short_id(initiator["id"]))


def _client(record: Record, _: datetime) -> str:
    return human.one_line(record["client"] or human.DASH)


def _client_and_version(record: Record, now: datetime) -> str:
    return f"{_client(record, now)} {human.one_line(record['client_version'] or '')}".rstrip()


def purpose(record: Record) -> str:
    """Why the client made a call of its own: ``title``, ``compaction``, ..., else ``auxiliary`` or ``probe``."""
    return human.one_line(str((record["metadata"] or {}).get("purpose_reason") or record["purpose"]))


def story(record: Record) -> Text:
    """What an interception was about: its prompt, else the tools it called, else what kind it was."""
    if record["user_prompts"]:
        text = Text(human.one_line(record["user_prompts"][0]["prompt"]))
    elif record["tool_usages"]:
        tools = dict.fromkeys(human.one_line(usage["tool"]) for usage in record["tool_usages"])
        text = Text(f"→ {', '.join(tools)}", style="cyan")
    elif record["error_message"]:
        text = Text(human.one_line(record["error_message"]), style="red")
    else:
        text = Text("")
    if record["purpose"] != "conversation":
        text = Text(f"({purpose(record)}) ", style="dim") + text
        text.stylize("dim")
    return text


def _outcome_and_story(record: Record, now: datetime) -> Text:
    told = story(record)
    if record["outcome"] == "completed":
        return told
    return _outcome(record, now) + Text(" ") + told


_INTERCEPTIONS = [
    _Column(header="TIME", cell=lambda r, now: human.day_and_time(r["started_at"], now), width=12),
    _Column(header="ID", cell=lambda r, _: human.short_id(r["id"]), width=8, style="dim"),
    _Column(header="USER", cell=_user, width=10, since=165),
    _Column(header="CLIENT", cell=_client, width=14, since=135, until=150),
    _Column(header="CLIENT", cell=_client_and_version, width=22, since=150),
    _Column(header="SESSION", cell=lambda r, _: human.short_id(r["session_id"]), width=8, since=180, style="dim"),
    _Column(header="MODEL", cell=lambda r, _: human.model_name(r["model"], brief=True), width=17, until=150),
    _Column(header="MODEL", cell=lambda r, _: human.model_name(r["model"], brief=False), width=28, since=150),
    _Column(header="IN", cell=_tokens("input_tokens"), width=5, right=True),
    _Column(header="CACHED", cell=_tokens("cache_read_input_tokens"), width=6, right=True, since=100),
    _Column(header="OUT", cell=_tokens("output_tokens"), width=5, right=True),
    _Column(header="COST", cell=_cost, width=9, right=True, since=140),
    _Column(header="TOOLS", cell=lambda r, _: str(len(r["tool_usages"])), width=5, right=True, since=190),
    _Column(header="FIRST", cell=lambda r, _: human.span(r["time_to_first_token"]), width=6, right=True, since=195),
    _Column(header="TOOK", cell=lambda r, _: human.span(r["duration"]), width=7, right=True, since=110),
    _Column(header="OUTCOME", cell=_outcome, width=11, since=120),
    _Column(header="PROMPT OR \u2192 TOOLS", cell=_outcome_and_story, width=0, until=120),
    _Column(header="PROMPT OR \u2192 TOOLS", cell=lambda r, _: story(r), width=0, since=120),
]


def _last_prompt(record: Record, _: datetime) -> Text:
    pinned = "pinned  " if record["pinned"] else ""
    return Text.assemble((pinned, "bold yellow"), human.one_line(record["last_prompt"] or human.DASH))


def _session_id(record: Record, _: datetime) -> Text:
    """Pinned ones stand out."""
    return Text(human.short_id(record["id"]), style="bold yellow" if record["pinned"] else "dim")


_SESSIONS = [
    _Column(header="LAST ACTIVE", cell=lambda r, now: human.day_and_time(r["last_active_at"], now), width=12),
    _Column(header="ID", cell=_session_id, width=8),
    _Column(header="USER", cell=_user, width=10, since=160),
    _Column(header="CLIENT", cell=_client, width=14),
    _Column(header="MODELS", cell=lambda r, _: _models(r, most=1), width=26, since=140, until=190),
    _Column(header="MODELS", cell=lambda r, _: _models(r, most=2), width=40, since=190),
    _Column(header="THREADS", cell=lambda r, _: str(r["threads"]), width=7, right=True, since=100),
    _Column(header="CALLS", cell=lambda r, _: str(r["interceptions"]), width=5, right=True),
    _Column(header="TOOLS", cell=lambda r, _: str(r["tool_calls"]), width=5, right=True, since=110),
    _Column(header="ERRORS", cell=lambda r, _: _errors(r), width=6, right=True, since=120),
    _Column(header="IN", cell=_session_tokens("input_tokens"), width=5, right=True),
    _Column(header="CACHED", cell=_session_tokens("cache_read_input_tokens"), width=6, right=True, since=100),
    _Column(header="OUT", cell=_session_tokens("output_tokens"), width=5, right=True),
    _Column(header="COST", cell=_session_cost, width=9, right=True, since=130),
    _Column(header="LAST PROMPT", cell=_last_prompt, width=0),
]


def _provider(record: Record, _: datetime) -> Text:
    if record["provider"] == UNKNOWN:
        return Text("unknown", style="bold yellow")
    if record["provider"] is None:
        return Text(record["mode"], style="dim")
    return Text(human.one_line(record["provider"]))


def _refusals(record: Record, _: datetime) -> Text:
    return Text(human.count(record["refusals"]) if record["refusals"] else "", style="bold red")


def _bytes(record: Record, _: datetime) -> str:
    # Of what is read, its interceptions say how much it was.
    return human.DASH if record["mode"] == "decrypted" else human.size(record["bytes_sent"] + record["bytes_received"])


def _connections(record: Record, _: datetime) -> str:
    # Nobody counts those of what is read.
    return human.DASH if record["mode"] == "decrypted" else human.count(record["connections"])


def _users(record: Record, _: datetime) -> str:
    return human.one_line(", ".join(user["username"] or human.short_id(user["id"]) for user in record["users"]))


def _clients(record: Record, _: datetime) -> str:
    return human.one_line(", ".join(record["clients"]))


_HOSTS = [
    _Column(header="HOST", cell=lambda r, _: human.one_line(r["host"]), width=0),
    _Column(header="PROVIDER", cell=_provider, width=10),
    _Column(header="NAME", cell=lambda r, _: human.one_line(r["provider_name"] or ""), width=18, since=150),
    _Column(header="MODE", cell=lambda r, _: human.one_line(r["mode"]), width=9, since=95),
    _Column(header="CALLS", cell=lambda r, _: human.count(r["interceptions"]), width=5, right=True),
    _Column(header="CONN", cell=_connections, width=5, right=True, since=120),
    _Column(header="BYTES", cell=_bytes, width=8, right=True, since=80),
    _Column(header="REFUSED", cell=_refusals, width=7, right=True, since=80),
    _Column(header="FIRST SEEN", cell=lambda r, now: human.day_and_time(r["first_seen"], now), width=12, since=125),
    _Column(header="LAST SEEN", cell=lambda r, now: human.day_and_time(r["last_seen"], now), width=12),
    _Column(header="CLIENTS", cell=_clients, width=16, since=90, until=140),
    _Column(header="CLIENTS", cell=_clients, width=30, since=140),
    _Column(header="USERS", cell=_users, width=24, since=140),
    _Column(header="FROM", cell=lambda r, _: human.one_line(", ".join(r["addresses"])), width=24, since=180),
]

_STATE_STYLES = {"live": "green", "revoked": "dim", "expired": "yellow", "removed": "dim"}


def _state(record: Record, _: datetime) -> Text:
    state = record["state"]
    return Text(state, style=_STATE_STYLES.get(state, ""))


def _time_of(name: str) -> Callable[[Record, datetime], str]:
    return lambda record, now: human.day_and_time(record[name], now)


def _expiry(record: Record, now: datetime) -> str:
    return "never" if record["expires_at"] is None else human.day_and_time(record["expires_at"], now)


_KEYS = [
    _Column(header="ID", cell=lambda r, _: human.short_id(r["id"]), width=8, style="dim"),
    _Column(header="USER", cell=lambda r, _: human.one_line(r["user"]["username"] or r["user_id"]), width=20),
    _Column(header="NAME", cell=lambda r, _: human.one_line(r["name"] or human.DASH), width=0),
    _Column(header="KEY", cell=lambda r, _: f"\u2026{human.safe(r['hint'])}", width=6, since=80),
    _Column(header="STATE", cell=_state, width=7),
    _Column(header="CREATED", cell=_time_of("created_at"), width=12, since=100),
    _Column(header="EXPIRES", cell=_expiry, width=12, since=80),
    _Column(header="LAST USED", cell=_time_of("last_used_at"), width=12),
]

_USERS = [
    _Column(header="USERNAME", cell=lambda r, _: human.one_line(r["username"]), width=24),
    _Column(header="NAME", cell=lambda r, _: human.one_line(r["name"] or human.DASH), width=0),
    _Column(header="EMAIL", cell=lambda r, _: human.one_line(r["email"] or human.DASH), width=30, since=110),
    _Column(header="FROM", cell=lambda r, _: human.one_line(r["source"]), width=8, since=90),
    _Column(header="ROLE", cell=lambda r, _: r["role"], width=7, since=80),
    _Column(header="STATE", cell=_state, width=7),
    _Column(header="KEYS", cell=lambda r, _: str(r["keys"]), width=4, right=True),
    _Column(header="LAST USED", cell=_time_of("last_used_at"), width=12, since=70),
]


def _models(record: Record, most: int) -> str:
    models = [human.model_name(model, brief=True) for model in record["models"] or ()]
    more = f" +{len(models) - most}" if len(models) > most else ""
    return (", ".join(models[:most]) + more) or human.DASH


def _errors(record: Record) -> Text:
    return Text(str(record["errors"]), style="red" if record["errors"] else "")


def _table(
    columns: list[_Column], records: Iterable[Record], width: int, now: datetime, *, header: bool, fixed: bool
) -> Table:
    shown = [column for column in columns if column.since <= width < column.until]
    rows = [[column.cell(record, now) for column in shown] for record in records]
    # What fits as it is leaves the rest of the terminal empty: a short name does not stand alone in half of it.
    expand = fixed or sum(_widest(column, place, rows) + _BETWEEN for place, column in enumerate(shown)) > width
    padding = (0, _BETWEEN, 0, 0)
    table = Table(box=None, expand=expand, pad_edge=False, padding=padding, show_header=header, header_style="bold")
    for column in shown:
        table.add_column(
            column.header,
            justify="right" if column.right else "left",
            style=column.style,
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if expand and not column.width else None,
            width=column.width or None if fixed else None,
            max_width=column.width or None,
        )
    for row in rows:
        table.add_row(*row)
    return table


def _widest(column: _Column, place: int, rows: list[list[str | Text]]) -> int:
    """Terminal cells that the column takes."""
    widths = (cell.cell_len if isinstance(cell, Text) else cell_len(cell) for cell in (row[place] for row in rows))
    widest = max(widths, default=0)
    return max(cell_len(column.header), min(widest, column.width) if column.width else widest)


def interception_table(
    records: Iterable[Record], width: int, now: datetime, *, header: bool = True, fixed: bool = False
) -> Table:
    """Interceptions as rows; ``fixed`` gives every table the same columns, so that rows can come one by one."""
    return _table(_INTERCEPTIONS, records, width, now, header=header, fixed=fixed)


def session_table(records: Iterable[Record], width: int, now: datetime) -> Table:
    """Sessions as rows."""
    return _table(_SESSIONS, records, width, now, header=True, fixed=False)


def host_table(records: Iterable[Record], width: int, now: datetime) -> Table:
    """Hosts as rows."""
    return _table(_HOSTS, records, width, now, header=True, fixed=False)


def key_table(records: Iterable[Record], width: int, now: datetime) -> Table:
    """Proxy keys as rows."""
    return _table(_KEYS, records, width, now, header=True, fixed=False)


def user_table(records: Iterable[Record], width: int, now: datetime) -> Table:
    """Users as rows."""
    return _table(_USERS, records, width, now, header=True, fixed=False)
