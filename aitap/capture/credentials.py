"""Credentials on the wire: told apart, hinted at, and kept out of everything else.

A credential is never part of a record. What is recorded is its kind and a masked hint; and because
providers do repeat keys in error texts, every text of theirs goes through :func:`scrub` first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Credential", "bare_url", "credential_of", "mask", "scrub", "secrets_of"]

_HEADERS = (
    *("x-api-key", "x-goog-api-key", "api-key", "authorization", "ocp-apim-subscription-key"),
    *("x-litellm-api-key", "x-portkey-api-key", "cf-aig-authorization"),
)
_PROTOCOL = "sec-websocket-protocol"
"""Where browsers, which cannot set other headers of a WebSocket, name what authenticates them."""
_IN_PROTOCOL = re.compile(r"(?:openai-insecure-api-key|xai-client-secret)\.([^\s,]+)")
_SECRET_HEADERS = (
    *_HEADERS,
    "proxy-authorization",
    "cookie",
    "x-amz-security-token",
    "statsig-api-key",
    "x-auth-token",
    "helicone-auth",
    "x-portkey-virtual-key",
    "cf-access-client-secret",
    "chatgpt-account-id",
)
_SIGNER = re.compile(r"Credential=([^/,\s]+)")
_QUERY_KEY = re.compile(r"(?:^|&)(?:key|api[-_]?key|access_token)=([^&]+)")
_SUBSCRIPTION = re.compile(r"sk-ant-oat|eyJ[\w-]+\.[\w-]+\.|gh[uops]_|github_pat_|tid=|ya29\.")
_LOOKS_SECRET = re.compile(
    r"""(?xi)
    \b (?: sk|pk|rk|fk|gsk|xai|nvapi|hf|pplx|csk|fw|r8|key|api) [-_] [A-Za-z0-9_*-]{12,}
    | \b AIza [A-Za-z0-9_-]{20,}
    | \b (?: gh[oprsu]_ | github_pat_ ) [A-Za-z0-9_]{16,}
    | \b (?: AKIA | ASIA ) [A-Z0-9]{12,}
    | \b ABSK [A-Za-z0-9+/=]{16,}
    | \b ya29\. [A-Za-z0-9_.-]{10,}
    | \b eyJ [A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]{4,} (?: \. [A-Za-z0-9_-]* )?
    | (?<= bearer \x20 ) [A-Za-z0-9._~+/=-]{8,}
    """
)
_PARAMETER = r"(?:key|api[-_]?key|(?:access_|auth_)?token|sig|signature|x-amz-(?:signature|credential|security-token))="
_QUERY = re.compile(rf"(?i)([?&;]{_PARAMETER})[^&\s\"'<>]+")
_QUERY_VALUE = re.compile(rf"(?i)(?:^|[&;]){_PARAMETER}([^&;]+)")


class Credential(NamedTuple):
    """Kind and masked hint of what a request authenticates with."""

    kind: str
    hint: str


_NOTHING = Credential("centralized", "")


def mask(secret: str) -> str:
    """``sk-a...cdef``: 20 and more characters show 4+4, 10 to 19 show 2+2, 5 to 9 show 1+1, fewer nothing."""
    shown = 4 if len(secret) >= 20 else 2 if len(secret) >= 10 else 1 if len(secret) >= 5 else 0
    return f"{secret[:shown]}...{secret[len(secret) - shown :]}" if secret else ""


def credential_of(headers: Mapping[str, str], query: str = "") -> Credential:
    """What these request headers (lower-case names) and this query authenticate with.

    ``x-api-key`` and its kin win over ``Authorization``, as with the providers. Kind is ``centralized``
    only where the request carries no credential at all.
    """
    for name in _HEADERS:
        value = headers.get(name)
        if value and (secret := _secret(name, value.strip())):
            return _describe(secret)
    match = _IN_PROTOCOL.search(headers.get(_PROTOCOL) or "") or (_QUERY_KEY.search(query) if query else None)
    return _describe(match[1]) if match else _NOTHING


def secrets_of(headers: Mapping[str, str], query: str = "") -> frozenset[str]:
    """Every value of these headers and this query that must not be repeated anywhere."""
    values = {match[1] for match in _QUERY_VALUE.finditer(query)}
    values |= {match[1] for match in _IN_PROTOCOL.finditer(headers.get(_PROTOCOL) or "")}
    for name in _SECRET_HEADERS:
        if value := (headers.get(name) or "").strip():
            values |= {value, value.partition(" ")[2].strip(), _secret(name, value)}
    return frozenset(value for value in values if len(value) >= 5)


def _secret(name: str, value: str) -> str:
    """The credential itself in the value of a header: without its scheme, of a signature its key id."""
    scheme, _, rest = value.partition(" ")
    if not name.endswith("authorization"):
        return rest.strip() if scheme.lower() == "bearer" and rest.strip() else value
    if scheme.lower().startswith("aws4-"):
        match = _SIGNER.search(rest)
        return match[1] if match else ""
    return rest.strip() or value


def _describe(secret: str) -> Credential:
    return Credential("byok_subscription" if _SUBSCRIPTION.match(secret) else "byok_api_key", mask(secret))


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets, and without anything that looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, mask(secret))
    text = _QUERY.sub(r"\1...", text)
    return _LOOKS_SECRET.sub(lambda match: match[0] if "*" in match[0] else mask(match[0]), text)


def bare_url(url: str | None) -> str | None:
    """A server's address without what may authenticate: user information, query and fragment."""
    if url is None:
        return None
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    bare = authority.rpartition("@")[2] + slash + path
    return scheme + separator + bare.partition("?")[0].partition("#")[0]
