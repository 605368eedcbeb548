"""What is promised of every record that is over, whatever came over the wire."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, get_args

from aitap.capture.errors import MAX_MESSAGE
from aitap.record import Interception, Outcome, Purpose
from aitap.storage.spool.frames import MAGIC, Frame, pack, packed, unpack
from aitap.storage.statements import as_unicode
from bench.fuzz.samples import SECRET, THEIR_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["broken"]

_MOST = 1 << 44
"""Tokens: a count is below 2**40, and some add up several."""
_LONGEST = 1024
"""Characters of what is no text but a name, an id or a word."""
_ERRORS = ("bad_request", "unauthorized", "rate_limited", "overloaded", "server_error", "timeout", "unknown")
_SECRET = SECRET.encode()


def broken(record: Interception) -> list[str]:
    """The promises that this record, which is over, does not keep."""
    found = [*_ending(record), *_counters(record), *_names(record), *_texts(record)]
    try:
        stored = packed(record)
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        return [*found, f"the spool cannot hold it: {error!r}"]
    if _SECRET in stored and _SECRET.decode() in (record.error_message or ""):
        found.append("the credential is in the error message")
    again = list(unpack(MAGIC + pack([stored])))
    if again != [Frame([record])] and again != [Frame([as_unicode(record)])]:
        found.append("the spool gives another record back")
    return found


def _ending(record: Interception) -> Iterator[str]:
    if record.outcome not in get_args(Outcome) or record.outcome == "in_flight" or record.ended_at is None:
        yield f"its outcome is {record.outcome!r} at {record.ended_at}"
    if record.purpose not in get_args(Purpose):
        yield f"its purpose is {record.purpose!r}"
    if (record.outcome == "failed") != (record.error_type in _ERRORS) or (
        record.error_type and not record.error_message
    ):
        yield f"it {record.outcome}, error type {record.error_type!r}, {record.error_message!r}"
    if len((record.error_message or "").encode("utf-8", "replace")) > MAX_MESSAGE:
        yield "its error message is long"
    for name in ("duration", "time_to_first_token"):
        seconds = getattr(record, name)
        if seconds is not None and not (math.isfinite(seconds) and 0 <= seconds < 3600):
            yield f"its {name} is {seconds}"
    if record.request_bytes < 0 or record.response_bytes < 0:
        yield "its bytes are negative"


def _counters(record: Interception) -> Iterator[str]:
    if len(record.token_usages) > 1 or len(record.user_prompts) > 1:
        yield f"it has {len(record.token_usages)} usages and {len(record.user_prompts)} prompts"
    for usage in record.token_usages:
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens"):
            count = getattr(usage, name)
            if type(count) is not int or not 0 <= count < _MOST:
                yield f"its {name} are {count!r}"
        for key, value in usage.metadata.items():
            if isinstance(value, int | float) and (not math.isfinite(value) or abs(value) >= 2**63):
                yield f"its counter {key[:80]!r} is {value!r}"
            if not isinstance(value, int | float | str):
                yield f"its counter {key[:80]!r} is a {type(value).__name__}"


def _names(record: Interception) -> Iterator[str]:
    names = [
        *(("model", record.model), ("client", record.client), ("client_version", record.client_version)),
        *(("client_session_id", record.client_session_id), ("stop_reason", record.stop_reason)),
        *(("response_model", record.response_model), ("provider_request_id", record.provider_request_id)),
        *(("user_agent", record.user_agent), ("client_request_id", record.client_request_id)),
        *(("http_version", record.http_version), ("method", record.method), ("host", record.host)),
        *(("provider_response_id", usage.provider_response_id) for usage in record.token_usages),
        *(("provider_tool_call_id", tool.provider_tool_call_id) for tool in record.tool_usages),
        *(("provider_item_id", tool.provider_item_id) for tool in record.tool_usages),
        *(("tool", tool.tool) for tool in record.tool_usages),
    ]
    for name, value in names:
        if value is not None and (not isinstance(value, str) or len(value) > _LONGEST):
            yield f"its {name} is {value[:60]!r}, {len(value)} long" if isinstance(value, str) else f"{name}: {value!r}"


def _texts(record: Interception) -> Iterator[str]:
    if record.capture != "minimal":
        for prompt in record.user_prompts:
            if not prompt.prompt:
                yield "its prompt is empty"
        return
    texts = [
        *(prompt.prompt for prompt in record.user_prompts),
        *(tool.input for tool in record.tool_usages),
        *(tool.invocation_error or "" for tool in record.tool_usages),
        *(thought.content for thought in record.model_thoughts),
    ]
    if any(texts) or record.contents:
        yield "texts are kept, with minimal"
    if any(word in (record.error_message or "") for word in THEIR_WORDS):
        yield f"words are kept, with minimal: {record.error_message!r}"
