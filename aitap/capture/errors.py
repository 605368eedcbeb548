"""Failures by the names a record knows, whatever the provider calls them."""

from __future__ import annotations

import re
from typing import Any

from aitap.capture.credentials import scrub
from aitap.capture.dialects.chat_answer import error_fact
from aitap.capture.facts import ErrorFact
from aitap.capture.wire import jsontext

__all__ = ["MAX_MESSAGE", "body_error", "error_message", "error_type"]

MAX_MESSAGE = 4096
"""Bytes of a provider's error text that are kept."""

_BY_WORD = (
    ("overloaded", "overloaded"),
    ("slow_down", "overloaded"),
    ("unavailable", "overloaded"),
    ("capacity", "overloaded"),
    ("rate_limit", "rate_limited"),
    ("quota", "rate_limited"),
    ("resource_exhausted", "rate_limited"),
    ("throttl", "rate_limited"),
    ("too_many", "rate_limited"),
    ("usage_limit", "rate_limited"),
    ("timeout", "timeout"),
    ("deadline", "timeout"),
    ("authentication", "unauthorized"),
    ("permission", "unauthorized"),
    ("unauthor", "unauthorized"),
    ("unauthenticated", "unauthorized"),
    ("invalid_api_key", "unauthorized"),
    ("billing", "unauthorized"),
    ("forbidden", "unauthorized"),
    ("not_included", "unauthorized"),
    ("invalid", "bad_request"),
    ("validation", "bad_request"),
    ("not_found", "bad_request"),
    ("failed_precondition", "bad_request"),
    ("out_of_range", "bad_request"),
    ("too_large", "bad_request"),
    ("context_length", "bad_request"),
    ("policy", "bad_request"),
    ("unsupported", "bad_request"),
    ("server_error", "server_error"),
    ("api_error", "server_error"),
    ("internal", "server_error"),
    ("modelerror", "server_error"),
    ("modelstreamerror", "server_error"),
    ("inspection", "bad_request"),
    ("arrearage", "unauthorized"),
    ("mismatch", "bad_request"),
    ("image_", "bad_request"),
    ("_image", "bad_request"),
)


def error_type(status: int | None, kind: str | None = None) -> str:
    """One of bad_request, unauthorized, rate_limited, overloaded, server_error, timeout and unknown.

    The HTTP status decides where it says anything; in a stream that began with 200 the provider's own word does,
    which may again be a status.
    """
    if (status is None or status < 400) and (number := re.search(r"\b[45]\d\d\b", kind or "")):
        status = int(number[0])
    match status:
        case 401 | 402 | 403 | 407:
            return "unauthorized"
        case 429:
            return "rate_limited"
        case 503 | 529:
            return "overloaded"
        case 408 | 504 | 524:
            return "timeout"
        case 424:  # Amazon Bedrock: the model itself failed
            return "server_error"
        case int() if 400 <= status < 500:
            return "bad_request"
        case int() if status >= 500:
            return "server_error"
    word = (kind or "").lower()
    return next((name for part, name in _BY_WORD if part in word), "unknown")


def body_error(body: bytes) -> ErrorFact:
    """What an error response says: the message in its JSON, else its text."""
    # Cut only after credentials are taken out: half of one would not be known again.
    text = body[: 16 * MAX_MESSAGE].decode("utf-8", "replace").strip()
    try:
        document: Any = jsontext.decode(body)
    except jsontext.NotJSONError:
        return ErrorFact(message=text)
    if isinstance(document, list) and document:  # Google wraps errors of a stream into an array
        document = document[0]
    if not isinstance(document, dict):
        return ErrorFact(message=text)
    if isinstance(told := document.get("errors"), list) and told and "message" not in document:  # Cloudflare
        return error_fact(told[0])
    if any(name in document for name in ("error", "message", "msg")):
        return error_fact(document)
    if isinstance(document.get("base_resp"), dict):  # MiniMax
        return error_fact(document["base_resp"])
    detail = document.get("detail", document.get("Message"))  # FastAPI's name, and Amazon's
    return ErrorFact(message=detail if isinstance(detail, str) else text)


def error_message(text: str, secrets: frozenset[str]) -> str:
    """A provider's words as they may be kept: without credentials, at most :data:`MAX_MESSAGE` bytes."""
    return scrub(text, secrets).encode("utf-8", "replace")[:MAX_MESSAGE].decode("utf-8", "ignore").replace("\0", "")
