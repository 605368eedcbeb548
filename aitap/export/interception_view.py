"""All that is known of one interception, for reading on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aitap.export import human
from aitap.export.conversation_view import parts_view
from aitap.export.tables import OUTCOME_STYLES

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["interception_view"]

Record = dict[str, Any]


def interception_view(record: Record, *, full: bool = False) -> Group:
    """Facts first, then prompt, thoughts, answer, tool calls and token usage, each under its heading."""
    parts: list[RenderableType] = [
        Text.assemble(("Interception ", "bold"), record["id"]),
        _pairs(_facts(record)),
    ]
    for prompt in record["user_prompts"]:
        parts += _block("Prompt", [Text(human.safe(prompt["prompt"])), *_metadata(prompt)])
    for thought in record["model_thoughts"]:
        source = (thought["metadata"] or {}).get("source")
        title = f"Thought ({human.one_line(str(source))})" if source else "Thought"
        parts += _block(title, [Text(human.safe(thought["content"]), style="italic dim")])
    if answer := _answer(record):
        parts += _block("Answer", [*parts_view(answer, full=full)])
    for usage in record["tool_usages"]:
        parts += _block(_tool_title(usage), [*_tool(usage)])
    for usage in record["token_usages"]:
        parts += _block(f"Token usage ({human.one_line(usage['provider_response_id'] or human.DASH)})", [_usage(usage)])
    if not record["token_usages"]:
        parts += _block("Token usage", [Text("unknown: the provider sent none", style="dim")])
    return Group(*parts)


def _answer(record: Record) -> list[Record]:
    """What the model said beside its tool calls, which stand for themselves."""
    asked = record["request_digest"]
    found: list[Record] = []
    for message in reversed(record.get("messages", ())):
        if message["digest"] == asked or record["response_digest"] is None or message["role"] != "assistant":
            break
        found[:0] = [part for part in message["content"] if part.get("type") != "tool_call"]
    return found


def _block(title: str | Text, content: list[RenderableType]) -> list[RenderableType]:
    heading = title if isinstance(title, Text) else Text(title, style="bold")
    return [Text(""), heading, *(Padding(item, (0, 0, 0, 2)) for item in content)]


def _pairs(pairs: Iterator[tuple[str, str | Text]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, value)
    return table


def _known(*values: object) -> str:
    return " ".join(human.one_line(str(value)) for value in values if value not in {None, ""}) or human.DASH


def _facts(record: Record) -> Iterator[tuple[str, str | Text]]:
    outcome = Text(human.outcome(record), style=OUTCOME_STYLES.get(record["outcome"], ""))
    if record["stop_reason"]:
        outcome.append(f" ({human.one_line(record['stop_reason'])})", style="dim")
    yield "outcome", outcome
    if record["error_type"] or record["error_message"]:
        yield "error", Text(f"{_known(record['error_type'])}: {human.safe(record['error_message'] or '')}", style="red")
    yield "model", _known(record["model"])
    if record["response_model"] and record["response_model"] != record["model"]:
        yield "answered by", _known(record["response_model"])
    yield "provider", f"{_known(record['provider'])} ({_known(record['provider_name'])}), {_known(record['api'])}"
    yield "client", _known(record["client"], record["client_version"])
    yield "user", _known(record["initiator"]["username"], record["initiator_id"])
    if record["api_key_id"]:
        yield "proxy key", _known(record["api_key_id"])
    yield "started", human.full_time(record["started_at"])
    yield "ended", human.full_time(record["ended_at"])
    yield (
        "took",
        f"{human.span(record['duration'])}, first output after {human.span(record['time_to_first_token'])}",
    )
    yield "purpose", _known(record["purpose"])
    yield "session", _known(record["session_id"])
    for name, key in (
        ("client session", "client_session_id"),
        ("thread root", "thread_root_id"),
        ("thread parent", "thread_parent_id"),
        ("retry of", "retry_of"),
    ):
        if record[key] and record[key] != record["session_id"]:
            yield name, _known(record[key])
    status = human.DASH if record["status_code"] is None else str(record["status_code"])
    yield "request", _known(record["method"], f"https://{record['host']}{record['path']}", record["http_version"])
    yield "response", f"status {status}, {'streamed' if record['streaming'] else 'in one piece'}"
    yield "bytes", f"{human.size(record['request_bytes'])} sent, {human.size(record['response_bytes'])} received"
    yield "credential", _known(record["credential_kind"], record["credential_hint"])
    yield "user agent", _known(record["user_agent"])
    yield (
        "request ids",
        f"provider {_known(record['provider_request_id'])}, client {_known(record['client_request_id'])}",
    )
    if record["last_prompt_at"]:
        yield "last prompt", human.full_time(record["last_prompt_at"])
    yield "kept", _known(record["capture"])
    for name, value in (record["metadata"] or {}).items():
        decided = name == "policy" and isinstance(value, dict)
        told = _decision(value) if decided else _removed(value) if name == "redacted" else _text(value)
        yield human.one_line(str(name)), human.one_line(told, 2000)


def _removed(manifest: object) -> str:
    """What redaction removed: how many of what, and where."""
    fields = manifest.items() if isinstance(manifest, dict) else ()
    told = [(field, counts) for field, counts in fields if isinstance(counts, dict)]
    return "; ".join(
        f"{field}: {', '.join(f'{count} {rule}' for rule, count in counts.items())}" for field, counts in told
    ) or _text(manifest)


def _decision(policy: Record) -> str:
    """What the policy said of this call."""
    refused = "would have refused this call" if policy.get("mode") == "warn" else "refused this call"
    if policy.get("budget"):
        return f"a budget that is used up {refused}"
    return f"rule {policy['rule']} {refused}" if policy.get("rule") else refused


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _metadata(child: Record) -> list[RenderableType]:
    items = (child["metadata"] or {}).items()
    return [
        Text(f"{human.one_line(str(name))}: {human.one_line(_text(value), 2000)}", style="dim") for name, value in items
    ]


def _tool_title(usage: Record) -> Text:
    status = usage["result_status"]
    title = Text.assemble(("Tool call ", "bold"), (human.one_line(usage["tool"]), "bold cyan"))
    title.append(f"  {status or human.DASH}", style={"ok": "green", "error": "red"}.get(status, "dim"))
    if usage["result_bytes"] is not None:
        title.append(f"  result {human.size(usage['result_bytes'])}", style="dim")
    return title


def _tool(usage: Record) -> Iterator[RenderableType]:
    facts = [usage["kind"], usage["provider_tool_call_id"], usage["server_url"]]
    yield Text(_known(*facts), style="dim")
    if usage["invocation_error"]:
        yield Text(human.safe(usage["invocation_error"]), style="red")
    try:
        text = msgspec.json.format(usage["input"], indent=2)
    except msgspec.DecodeError:
        text = usage["input"]
    yield Text(human.safe(text))
    yield from _metadata(usage)


# The reference's names for what stands in columns, too.
_REPEATED = ("cache_read_input", "cache_creation_input")


def _usage(usage: Record) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name in ("input_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "output_tokens"):
        table.add_row(name.replace("_", " "), f"{usage[name]:,}")
    for name, value in (usage["metadata"] or {}).items():
        if name in _REPEATED:
            continue
        table.add_row(human.one_line(str(name)), f"{value:,}" if type(value) is int else human.one_line(_text(value)))
    cost = "unknown" if usage["cost_micros"] is None else f"${usage['cost_micros'] / 1e6:.6f}"
    table.add_row("cost", cost)
    if usage["price_book"]:
        table.add_row("prices of", human.one_line(usage["price_book"]))
    return table
