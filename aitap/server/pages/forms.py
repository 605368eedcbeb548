"""Forms: read within bounds, each field once, and only where the page that they are on was made here, for this visitor.

Every form carries a token that only this process can make, for one visitor. It is another one on every page, so that
what stands beside it on a compressed page tells nothing of it.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aitap.server.headers import LONGEST_BODY
from aitap.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request

__all__ = ["TOKEN", "Tokens", "read_form"]

TOKEN = "token"  # noqa: S105 - a field's name
_TYPE = "application/x-www-form-urlencoded"


class Tokens:
    """Tokens of forms. A ``visitor`` is any text that one visitor alone has, and is the same for all their pages."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def make(self, visitor: str) -> str:
        """A token for the forms of one page."""
        nonce = secrets.token_urlsafe(12)
        return f"{nonce}.{self._seal(nonce, visitor)}"

    def holds(self, token: str, visitor: str) -> bool:
        """Whether this token was made here, for this visitor."""
        nonce, _, seal = token.partition(".")
        return hmac.compare_digest(seal.encode(), self._seal(nonce, visitor).encode())

    def _seal(self, nonce: str, visitor: str) -> str:
        return hmac.digest(self._secret, f"{nonce}.{visitor}".encode("utf-8", "surrogatepass"), "sha256").hex()


async def read_form(request: Request, known: Collection[str]) -> dict[str, str]:
    """The fields of a form; those that were left empty are ``""``. Raises :class:`Problem`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise Problem(415, "This is no form.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            raise Problem(413, "The request is too large.", f"A body may have {LONGEST_BODY} bytes.")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=64, errors="strict")
    except ValueError:
        raise Problem(400, "The form cannot be read.") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in {*known, TOKEN} or name in found or "\0" in value:
            raise Problem(400, "The form cannot be read.")
        found[name] = value
    return dict.fromkeys((*known, TOKEN), "") | found
