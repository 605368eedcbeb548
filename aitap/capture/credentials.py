"""Credentials on the wire: told apart, hinted at, and kept out of everything else.

A credential is never part of a record. What is recorded is its kind and a masked hint; and because
providers do repeat keys in error texts, every text of theirs goes through :func:`scrub` first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Credential", "credential_of", "mask", "scrub"]

_HEADERS = ("x-api-key", "x-goog-api-key", "api-key", "authorization", "ocp-apim-subscription-key")
_SECRET_HEADERS = (
    *_HEADERS,
    "proxy-authorization",
    "cookie",
    "x-amz-security-token",
    "statsig-api-key",
    "x-auth-token",
    "helicone-auth",
    "chatgpt-account-id",
)
_SUBSCRIPTION = re.compile(r"sk-ant-oat|eyJ[\w-]+\.[\w-]+\.|gh[uops]_|github_pat_|tid=|ya29\.")
_LOOKS_SECRET = re.compile(
    r"""(?xi)
    \b (?: sk|pk|rk|fk|gsk|xai|nvapi|hf|pplx|csk|fw|r8|key|api) [-_] [A-Za-z0-9_*-]{12,}
    | \b AIza [A-Za-z0-9_-]{20,}
    | \b (?: gh[oprsu]_ | github_pat_ ) [A-Za-z0-9_]{16,}
    | \b (?: AKIA | ASIA ) [A-Z0-9]{12,}
    | \b ya29\. [A-Za-z0-9_.-]{10,}
    | \b eyJ [A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]{4,} (?: \. [A-Za-z0-9_-]* )?
    | (?<= bearer \x20 ) [A-Za-z0-9._~+/=-]{8,}
    """
)
_PARAMETER = r"(?:key|api[-_]?key|(?:access_|auth_)?token|sig|signature|x-amz-(?:signature|credential|security-token))="
_QUERY = re.compile(rf"(?i)([?&;]{_PARAMETER})[^&\s\"'<>]+")
_QUERY_VALUE = re.compile(rf"(?i)(?:^|[&;]){_PARAMETER}([^&;]+)")


class Credential:
    """Kind and masked hint of what a request authenticates with, and the values that must not be repeated."""

    __slots__ = ("hint", "kind", "values")

    def __init__(self, kind: str, hint: str, values: frozenset[str]) -> None:
        self.kind = kind
        self.hint = hint
        self.values = values


def mask(secret: str) -> str:
    """``sk-a...cdef``: 20 and more characters show 4+4, 10 to 19 show 2+2, 5 to 9 show 1+1, fewer nothing."""
    shown = 4 if len(secret) >= 20 else 2 if len(secret) >= 10 else 1 if len(secret) >= 5 else 0
    return f"{secret[:shown]}...{secret[len(secret) - shown :]}" if secret else ""


def credential_of(headers: Mapping[str, str], query: str = "") -> Credential:
    """What these request headers (lower-case names) and this query authenticate with.

    ``x-api-key`` and its kin win over ``Authorization``, as with the providers. Kind is ``centralized``
    only where the request carries no credential at all.
    """
    secret = ""
    for name in _HEADERS:
        if value := headers.get(name, "").strip():
            scheme, _, rest = value.partition(" ")
            secret = rest.strip() if name == "authorization" and rest else value
            if scheme.lower().startswith("aws4-"):
                match = re.search(r"Credential=([^/,\s]+)", value)
                secret = match[1] if match else ""
            break
    else:
        match = re.search(r"(?:^|&)(?:key|api[-_]?key)=([^&]+)", query)
        secret = match[1] if match else ""
    values = set()
    for name in _SECRET_HEADERS:
        if value := headers.get(name, "").strip():
            values |= {value, value.partition(" ")[2].strip(), secret}
    values |= {match[1] for match in _QUERY_VALUE.finditer(query)}
    kind = "centralized" if not secret else "byok_subscription" if _SUBSCRIPTION.match(secret) else "byok_api_key"
    return Credential(kind, mask(secret), frozenset(value for value in values if len(value) >= 5))


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets, and without anything that looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, mask(secret))
    text = _QUERY.sub(r"\1...", text)
    return _LOOKS_SECRET.sub(lambda match: match[0] if "*" in match[0] else mask(match[0]), text)
