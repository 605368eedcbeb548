"""What a client shows of itself: the user and password, or the token, of ``Proxy-Authorization`` or of SOCKS5.

Whatever stands in the header, reading it gives credentials or none; it never raises. Nothing in here shows a
secret: neither ``repr`` nor an error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HEADER", "Credentials", "read_header", "take_header"]

HEADER = b"proxy-authorization"

LONGEST = 8192
"""Bytes of a header; longer ones are not read. A Coder or aitap key has under 100, a JWT rarely 4,000."""

# Caches know credentials by this hash: whoever reads the process's memory later finds nothing to guess against.
_PEPPER = secrets.token_bytes(32)


class Credentials:
    """A user's name and a secret. ``Bearer`` tokens have no name."""

    __slots__ = ("_mark", "secret", "user")

    def __init__(self, user: str, secret: str, mark: bytes | None = None) -> None:
        """``mark`` is given where these credentials had it before in another form."""
        self.user = user
        self.secret = secret
        self._mark = mark

    @property
    def mark(self) -> bytes:
        """What stands for these credentials in caches; of this process alone."""
        if self._mark is None:
            text = f"{len(self.user)}:{self.user}{self.secret}".encode("utf-8", "surrogatepass")
            self._mark = hmac.digest(_PEPPER, text, hashlib.sha256)
        return self._mark

    def __repr__(self) -> str:
        return "Credentials(...)"


def take_header(fields: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[tuple[bytes, bytes], ...], list[bytes]]:
    """The header fields without ``Proxy-Authorization``, and its values. ``fields`` itself where it was not there."""
    values = [value for name, value in fields if len(name) == len(HEADER) and name.lower() == HEADER]
    if not values:
        return fields, values
    return tuple(field for field in fields if field[0].lower() != HEADER), values


def read_header(values: Iterable[bytes]) -> Credentials | None:
    """The credentials in the values of ``Proxy-Authorization``; None where they cannot be read, or contradict.

    ``Basic`` (RFC 7617: UTF-8, a password may contain colons; base64 with or without padding, also of the URL
    alphabet) and ``Bearer`` (RFC 6750).
    """
    distinct = set(values)
    if len(distinct) != 1:
        return None
    value = distinct.pop()
    if len(value) > LONGEST:
        return None
    scheme, _, rest = value.strip().partition(b" ")
    rest = rest.strip()
    if scheme.lower() == b"bearer":
        token = _text(rest)
        return Credentials("", token) if token and token.isascii() and " " not in token else None
    if scheme.lower() != b"basic":
        return None
    decoded = _base64(rest)
    if decoded is None or b":" not in decoded:
        return None
    user, _, secret = decoded.partition(b":")
    return Credentials(_text(user), _text(secret))


def _text(data: bytes) -> str:
    """UTF-8, else ISO 8859-1, which some clients send against all advice."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _base64(text: bytes) -> bytes | None:
    plain = text.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
