"""The password hashes of Apache's htpasswd that can be checked with what mitmproxy brings.

https://httpd.apache.org/docs/2.4/misc/password_encryptions.html: bcrypt (``htpasswd -B``) and ``{SHA}``
(``-s``) always; MD5 (``$apr1$``, ``-m``) and crypt's where passlib is there, which mitmproxy 11 brings and
mitmproxy 12 does not.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
from typing import Any

__all__ = ["can_check", "matches"]

_BCRYPT = ("$2a$", "$2b$", "$2y$")
_BCRYPT_BYTES = 72  # what bcrypt, and so Apache, reads of a password; newer libraries refuse longer ones


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


bcrypt = _module("bcrypt")
passlib = _module("passlib.apache")


def can_check(stored: str) -> bool:
    """Whether a hash, as it stands behind the user's name, is of a kind that :func:`matches` knows here."""
    if stored.startswith("{SHA}"):
        return True
    if stored.startswith(_BCRYPT) and bcrypt is not None:
        return True
    # The context also takes plain text for a hash: a file of plain passwords is nothing to trust.
    return passlib is not None and passlib.htpasswd_context.identify(stored) not in {None, "plaintext"}


def matches(stored: str, password: str) -> bool:
    """Whether this is the password. Slow, as it should be; never raises."""
    data = password.encode("utf-8", "surrogatepass")
    try:
        if stored.startswith("{SHA}"):
            digest = base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest())
            return hmac.compare_digest(digest, stored[5:].encode())
        if stored.startswith(_BCRYPT) and bcrypt is not None:
            return bool(bcrypt.checkpw(data[:_BCRYPT_BYTES], stored.encode()))
        return passlib is not None and can_check(stored) and bool(passlib.htpasswd_context.verify(data, stored))
    except Exception:  # noqa: BLE001 - a hash cut short, a NUL in a password: libraries differ in what they raise
        return False
