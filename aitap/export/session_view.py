"""A session told as a story: prompts, what the model thought and called, what its sub-agents did."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from aitap.export import human
from aitap.export.conversation_view import messages_view
from aitap.export.tables import OUTCOME_STYLES, purpose
from aitap.storage.threads import token_sum

__all__ = ["session_view"]

Record = dict[str, Any]
Said = dict[str, list[Record]]

_PROMPT_LIMIT = 600
_TOOLS_SHOWN = 20


def session_view(session: Record, *, full: bool = False) -> Group:
    """The head with the sums, one tree for each thread, and the auxiliary calls in a line.

    Where the session has ``messages``, each stands under the interception with which it first came; ``full``
    cuts no text.
    """
    said: Said = defaultdict(list)
    for message in session.get("messages", ()):
        said[message["interception_id"]].append(message)
    parts: list[RenderableType] = [*_head(session)]
    for thread in session["threads"]:
        parts += [Text(""), _thread(thread, said, full=full)]
    if session["auxiliary"]:
        parts += [Text(""), _auxiliary(session["auxiliary"])]
    return Group(*parts)


def _line(*parts: tuple[str, str] | str) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _clock(text: str) -> str:
    at = human.moment(text)
    return human.DASH if at is None else at.strftime("%H:%M:%S")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _tokens(counters: Record, *, written: bool = True) -> str:
    text = f"in {human.count(counters['input_tokens'])}, out {human.count(counters['output_tokens'])}"
    if read := counters["cache_read_input_tokens"]:
        text += f", cached {human.count(read)}"
    if written and counters["cache_write_input_tokens"]:
        text += f", to cache {human.count(counters['cache_write_input_tokens'])}"
    return text


def _head(session: Record) -> list[RenderableType]:
    who = session["initiator"]["username"] or session["initiator"]["id"]
    client = human.one_line(session["client"] or "Unknown")
    started, active = human.moment(session["started_at"]), human.moment(session["ended_at"])
    when = f"{started:%Y-%m-%d %H:%M:%S}" if started else human.DASH
    if started and active:
        when += f" to {active:%H:%M:%S}" if active.date() == started.date() else f" to {active:%Y-%m-%d %H:%M:%S}"
        when += f" ({human.span((active - started).total_seconds())})"
    sums = ", ".join(
        _number(count, noun)
        for count, noun in (
            (len(session["threads"]), "thread"),
            (_subagents(session["threads"]), "sub-agent"),
            (session["interceptions"], "call"),
            (session["tool_calls"], "tool call"),
            (session["errors"], "error"),
        )
        if count
    )
    return [
        Text.assemble(
            ("Session ", "bold"),
            human.one_line(session["id"]),
            (", pinned" if session["pinned"] else "", "bold yellow"),
        ),
        Text.assemble((client, "bold"), f" of {human.one_line(who)}, {when}"),
        Text(f"{sums or 'nothing ended yet'}; {_tokens(session['token_usage_summary'])}{_cost(session)}"),
        Text(", ".join(human.one_line(model) for model in session["models"] or ()), style="dim"),
    ]


def _cost(session: Record) -> str:
    if session["cost_micros"] is None:
        return ""
    return f"; {human.money(session['cost_micros'], more=bool(session['unpriced']))}"


def _subagents(threads: list[Record]) -> int:
    return sum(len(thread["subagents"]) + _subagents(thread["subagents"]) for thread in threads)


def _thread(thread: Record, said: Said, *, full: bool) -> Tree:
    tree = Tree(_thread_title(thread), guide_style="dim")
    waiting = list(thread["subagents"])
    for interception in thread["interceptions"]:
        # A sub-agent stands where it began, between the calls of the one that waits for it.
        while waiting and _at(waiting[0]) < _at(interception):
            tree.add(_thread(waiting.pop(0), said, full=full))
        _interception(tree, interception, said.get(interception["id"], []), full=full)
    for subagent in waiting:
        tree.add(_thread(subagent, said, full=full))
    return tree


def _at(record: Record) -> datetime:
    return datetime.fromisoformat(record["started_at"])


def _thread_title(thread: Record) -> Text:
    title = Text()
    if thread["agent"]:
        title.append(f"{human.one_line(str(thread['agent']))}: ", style="bold magenta")
    prompt = human.one_line(thread["prompt"] or "", _PROMPT_LIMIT + 1)
    if len(prompt) > _PROMPT_LIMIT:
        prompt = prompt[:_PROMPT_LIMIT] + "…"
    title.append(prompt or "(no prompt)", style="bold" if prompt else "dim")
    return title


def _interception(tree: Tree, record: Record, said: list[Record], *, full: bool) -> None:
    branch = tree.add(
        _line(
            (_clock(record["started_at"]), "dim"),
            " ",
            (human.short_id(record["id"]), "dim"),
            f"  {human.model_name(record['model'], brief=True)}  ",
            (human.outcome(record), OUTCOME_STYLES.get(record["outcome"], "")),
            f"  {human.span(record['duration'])}  ",
            _tokens(token_sum([record]), written=False),
        )
    )
    if said:
        for item in messages_view(record, said, full=full):
            branch.add(item)
    if record["error_message"]:
        branch.add(_line((human.one_line(record["error_message"]), "red")))
    if said:
        return  # thoughts and tool calls are among the messages
    if record["model_thoughts"]:
        text = " ".join(human.one_line(thought["content"]) for thought in record["model_thoughts"])
        branch.add(_line(("thought ", "dim"), (human.one_line(text), "italic dim")))
    for usage in record["tool_usages"][:_TOOLS_SHOWN]:
        branch.add(_tool(usage))
    if (more := len(record["tool_usages"]) - _TOOLS_SHOWN) > 0:
        branch.add(_line((f"and {_number(more, 'tool call')} more", "dim")))


def _tool(usage: Record) -> Text:
    status = usage["result_status"]
    return _line(
        (f"{status or human.DASH:<5} ", {"ok": "green", "error": "red"}.get(status, "dim")),
        (human.one_line(usage["tool"]), "cyan"),
        f"  {human.tool_input(usage['input'])}",
    )


def _auxiliary(records: list[Record]) -> Text:
    kinds = Counter(purpose(record) for record in records)
    models = dict.fromkeys(human.model_name(record["model"], brief=True) for record in records)
    return Text(
        f"Besides, {_number(len(records), 'call')} of the client's own "
        f"({', '.join(f'{kind} {number}' for kind, number in sorted(kinds.items()))}; "
        f"{', '.join(models)}): {_tokens(token_sum(records))}",
        style="dim",
    )
