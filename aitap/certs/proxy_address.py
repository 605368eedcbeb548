"""Where a proxy is and what is shown to it: one address, read as people write it and written as clients need it.

A proxy key stands in the address as the password. It is percent-encoded here, once, and left out wherever
an address is shown.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import socket
from urllib.parse import quote, unquote

import msgspec

__all__ = ["ProxyAddress", "parse"]

# The last @ ends the credentials: a password pasted as it is may hold one, or a slash.
_ADDRESS = re.compile(
    r"(?:(?P<scheme>https?)://)?(?:(?P<credentials>.*)@)?(?P<host>\[[0-9a-f:.]+\]|[^\s/@:?#\[\]]+):(?P<port>\d{1,5})/?",
    re.IGNORECASE,
)
_OTHER_SCHEME = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ENCODED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


class ProxyAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy's address. Its ``str`` and ``repr`` do not tell the password."""

    scheme: str
    """``http`` or ``https``."""
    host: str
    """Lower-case name or address, IPv6 without brackets."""
    port: int
    username: str | None = None
    password: str | None = None

    @property
    def place(self) -> str:
        """``host:port``, without credentials."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as a client's variable takes it, credentials percent-encoded. A secret where there is a key."""
        return f"{self.scheme}://{self._credentials(self.password)}{self.place}"

    def __str__(self) -> str:
        """The address to show."""
        return f"{self.scheme}://{self._credentials(self.password and '***', safe='*')}{self.place}"

    __repr__ = __str__

    def _credentials(self, password: str | None, safe: str = "") -> str:
        if self.username is None:
            return ""
        shown = quote(self.username, safe="")
        return f"{shown}@" if password is None else f"{shown}:{quote(password, safe=safe)}@"

    @property
    def authorization(self) -> str | None:
        """The value of ``Proxy-Authorization`` (RFC 7617); None without credentials."""
        if self.username is None:
            return None
        return "Basic " + base64.b64encode(f"{self.username}:{self.password or ''}".encode()).decode("ascii")

    def with_key(self, key: str) -> ProxyAddress:
        """The same place, shown this key; a name that stands in the address stays."""
        return msgspec.structs.replace(self, username=self.username or "key", password=key)

    @property
    def on_loopback(self) -> bool:
        """Whether the address names this machine's loopback."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def here(self) -> bool:
        """Whether the proxy is on this machine. May ask the resolver, and takes as long as that does."""
        if self.on_loopback:
            return True
        try:
            places = socket.getaddrinfo(self.host, 0, type=socket.SOCK_STREAM)
        except OSError:
            return False
        for family, kind, protocol, _, address in places:
            # Only an address of this machine can be bound.
            with socket.socket(family, kind, protocol) as probe:
                try:
                    probe.bind(address)
                except OSError:
                    continue
                return True
        return False


def parse(text: str) -> ProxyAddress:
    """``[http://][user:key@]host:port`` as an address; credentials may be percent-encoded or not.

    Raises ``ValueError`` with one line that does not repeat the credentials.
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or _OTHER_SCHEME.match(text.strip()) or not 0 < int(match["port"]) < 65536:
        raise ValueError("no proxy address: write http://HOST:PORT or http://USER:KEY@HOST:PORT")
    username = password = None
    if match["credentials"] is not None:
        name, colon, secret = match["credentials"].partition(":")
        username, password = _decoded(name), _decoded(secret) if colon else None
    return ProxyAddress(
        scheme=(match["scheme"] or "http").lower(),
        host=match["host"].strip("[]").lower(),
        port=int(match["port"]),
        username=username,
        password=password,
    )


def _decoded(text: str) -> str:
    return unquote(text) if _ENCODED.fullmatch(text) else text
