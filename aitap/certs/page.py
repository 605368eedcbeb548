"""The page on which the proxy offers its certificate: what it answers to each path, as bytes.

Nothing but certificates can get out here: what is served is made of their DER, never of a file as it is.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import ssl
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import msgspec

from aitap.certs.bundle import bundle_text, system_roots

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.certs.authority import Authority, Facts

__all__ = ["MAGIC_HOST", "Answer", "answer", "failure"]

MAGIC_HOST = "aitap.internal"
"""Through the proxy, this name is the proxy itself. ICANN keeps ``.internal`` for private use."""

_BASE = re.compile(r"https?://[A-Za-z0-9._\-]+(:\d+)?|https?://\[[0-9a-fA-F:.]+\](:\d+)?")


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer(method: str, path: str, base: str, authority: Authority, facts: Callable[[Authority], Facts]) -> Answer:
    """What the proxy says to a request for itself. ``base`` is its address as the client wrote it."""
    if not _BASE.fullmatch(base):
        base = f"http://{MAGIC_HOST}"
    if method not in {"GET", "HEAD"}:
        return failure(405, _refusal(base), allow="GET, HEAD")
    path = path.partition("?")[0]
    if path == "/":
        return _html(base, facts(authority))
    if path in {"/ca.pem", "/proxy/ca-cert.pem"}:
        return _file("application/x-pem-file", "aitap-ca.pem", ssl.DER_cert_to_PEM_cert(authority.der).encode())
    if path == "/ca.crt":
        return _file("application/x-x509-ca-cert", "aitap-ca.crt", authority.der)
    if path == "/ca-bundle.pem":
        return _file("application/x-pem-file", "aitap-ca-bundle.pem", bundle_text(authority, system_roots({})))
    return failure(404, _refusal(base))


def failure(status: int, text: str, **headers: str) -> Answer:
    """A refusal in one line."""
    body = (text + "\n").encode()
    return Answer(status, _headers("text/plain; charset=utf-8", body) | headers, body)


def _refusal(base: str) -> str:
    return f"aitap: this is a proxy, not a server: set HTTPS_PROXY={base}; its certificate is at {base}/ca.pem"


def _headers(content_type: str, body: bytes) -> dict[str, str]:
    return {
        "content-type": content_type,
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "content-security-policy": f"default-src 'none'; style-src 'sha256-{_style()[1]}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


def _file(content_type: str, name: str, body: bytes) -> Answer:
    disposition = {"content-disposition": f'attachment; filename="{name}"'}
    return Answer(200, _headers(content_type, body) | disposition, body)


def _html(base: str, facts: Facts) -> Answer:
    limits = ", which lets the proxy vouch for AI hosts and no others" if facts.kind == "constrained" else ""
    through = (
        "<p>The commands below reach this page through the proxy: give curl and wget the proxy first, by "
        "<code>export http_proxy=http://PROXY:PORT</code>.</p>"
    )
    values = {
        "subject": facts.subject,
        "fingerprint": facts.sha256,
        "until": f"{facts.not_after:%Y-%m-%d}",
        "limits": limits,
        "base": base,
    }
    escaped = {name: html.escape(value) for name, value in values.items()}
    markup = {"style": _style()[0], "note": through if base == f"http://{MAGIC_HOST}" else ""}
    body = _template().substitute(escaped | markup).encode()
    return Answer(200, _headers("text/html; charset=utf-8", body), body)


@lru_cache(maxsize=1)
def _template() -> Template:
    return Template(_data("page.html"))


@lru_cache(maxsize=1)
def _style() -> tuple[str, str]:
    """The style sheet, and its hash as a Content-Security-Policy names it."""
    style = _data("page.css")
    return style, base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _data(name: str) -> str:
    return Path(__file__).with_name("data").joinpath(name).read_text("utf-8")
