"""What whoever has no valid key is told: 407 and one line of text.

RFC 9110, 15.5.8: a 407 carries ``Proxy-Authenticate``. RFC 7617, 2.1: ``charset`` says that UTF-8 will do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitmproxy import http

from aitap.access.authentication.sources import Refusal

if TYPE_CHECKING:
    from aitap.access.authentication.sources import Reason

__all__ = ["CHALLENGE", "MISSING", "response", "wire"]

MISSING = Refusal("missing")

CHALLENGE = 'Basic realm="aitap", charset="UTF-8"'

_TEXTS: dict[Reason, str] = {
    "missing": "this proxy wants a key: set HTTPS_PROXY=http://NAME:KEY@HOST:PORT (`aitap keys create` makes one)",
    "wrong": "this proxy does not know that key: make one with `aitap keys create`",
    "expired": "that proxy key has expired: make another with `aitap keys create`",
    "revoked": "that proxy key was revoked: ask whoever runs the proxy for another",
    "backoff": "too many wrong keys came from your address: wait, then try again",
    "unreachable": "that key cannot be verified now, its directory does not answer: try again later",
}


def response(refusal: Refusal, *, close: bool, http1: bool, head: bool = False) -> http.Response:
    """The answer; with ``close`` an HTTP/1 connection ends after it. ``head`` leaves the body out."""
    fields = {"Proxy-Authenticate": CHALLENGE, "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
    if refusal.retry_after:
        fields["Retry-After"] = str(refusal.retry_after)
    if close and http1:
        fields |= {"Connection": "close", "Proxy-Connection": "close"}
    text = b"" if head else f"aitap: {_TEXTS[refusal.reason]}\n".encode()
    return http.Response.make(407, text, fields)


def wire() -> bytes:
    """The same in HTTP/1's form, for who has not got as far as a request."""
    text = f"aitap: {_TEXTS['missing']}\n".encode()
    return (
        b"HTTP/1.1 407 Proxy Authentication Required\r\n"
        b"Proxy-Authenticate: %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
        b"Connection: close\r\nProxy-Connection: close\r\n\r\n%b" % (CHALLENGE.encode(), len(text), text)
    )
