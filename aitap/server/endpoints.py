"""The table of endpoints: paths, parameters, what answers and what it looks like.

The routes and the OpenAPI document are both made of it, so that neither can know of something the other does not.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from aitap.server import audit, records, usage
from aitap.server.filters import FILTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from peewee import Database

    from aitap.server.answers import Answer, Question

__all__ = ["CERTIFICATE", "ENDPOINTS", "HEALTH", "OPENAPI", "PREFIXES", "Endpoint"]

PREFIXES = ("/api/v2/ai-gateway", "/api/v2/aibridge")
"""The reference's newer name, and the older one that its first clients use."""

CERTIFICATE = "/proxy/ca-cert.pem"
"""Under both prefixes."""
HEALTH = "/healthz"
OPENAPI = "/api/v2/openapi.json"

_PAGE = ("limit", "offset")


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """One question that can be asked, with GET."""

    path: str
    """Behind each of ``PREFIXES``."""
    answer: Callable[[Database, Question], Answer]
    summary: str
    schema: str
    """The name of what it answers, in the document's schemas."""
    parameters: tuple[str, ...]
    errors: tuple[int, ...] = (400,)
    csv: bool = False
    """Whether it answers CSV too, where ``format`` says so."""


ENDPOINTS = (
    Endpoint(
        "/interceptions",
        records.interceptions,
        "Interceptions that ended, the newest first",
        "Interceptions",
        (*FILTERS, *_PAGE, "after_id"),
    ),
    Endpoint(
        "/sessions",
        records.sessions,
        "Sessions, last active first",
        "Sessions",
        (*FILTERS, *_PAGE, "after_session_id"),
    ),
    Endpoint(
        "/sessions/{session_id}",
        records.session,
        "One session, its threads in the order in which they began",
        "SessionThreads",
        ("limit", "after_id", "before_id", "initiator"),
        (400, 404),
    ),
    Endpoint("/models", records.models, "Names of models, sorted", "Names", (*FILTERS, *_PAGE)),
    Endpoint("/clients", records.clients, "Names of clients, sorted", "Names", (*FILTERS, *_PAGE)),
    Endpoint("/providers", records.providers, "Names of providers, sorted", "Names", (*FILTERS, *_PAGE)),
    Endpoint(
        "/usage",
        usage.usage,
        "Calls, tokens and cost, summed up",
        "Usage",
        (*FILTERS, "by", "format"),
        csv=True,
    ),
    Endpoint(
        "/audit",
        audit.audit,
        "Who was shown whose records, and who changed what, the newest first; for admins",
        "Audit",
        ("reader", "subject", "action", "read_after", "read_before", "limit", "after_id"),
        (400, 403),
    ),
)
