"""Which connections are decrypted: a table of what the operator said, of providers, and of clients' telemetry.

A connection has names: where the client asked to go, where it is dialled, and the name in its TLS
ClientHello. What is said of any of them counts, in this order: a host's own mode (``aitap hosts``), the
setting ``decrypt``, telemetry, which is never read, and the table of providers.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from aitap.capture.routes import host_test

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aitap.capture.routes import Router
    from aitap.record import HostMode
    from aitap.settings import Decrypt

__all__ = ["Choices", "Name", "Verdict", "is_address", "plain_name", "telemetry_hosts"]

Name = tuple[str, int]
"""A host as :func:`plain_name` gives it, and a port."""

_LONGEST = 253
"""Characters of a name (RFC 1035, 2.3.4, without the last dot)."""

_WEB_PORTS = (443, 80)


class Verdict(NamedTuple):
    """What is to be done with a connection, and what it is called in the list of hosts."""

    decrypt: bool
    host: str
    """The name, without the port where that is 443 or 80."""
    provider: tuple[str, str] | None
    """Type and name of the provider, None for a host that is none."""

    @property
    def unread_mode(self) -> HostMode:
        """How the host is listed where its traffic passes unread."""
        return "observed" if self.provider else "tunnelled"


class Choices:
    """Answers, from memory, whether a connection is decrypted.

    ``host_modes`` is read anew after each :meth:`forget`.
    """

    def __init__(self, decrypt: Decrypt, router: Router, host_modes: Callable[[], Mapping[str, str]]) -> None:
        self._decrypt = decrypt
        self._router = router
        self._host_modes = host_modes
        self._telemetry = [host_test(host) for host in telemetry_hosts()]
        self._modes: list[tuple[Callable[[str, int], bool], str]] = []
        # Names come from strangers: the memory is bounded.
        self.of = lru_cache(maxsize=4096)(self._choose)
        self.forget()

    @property
    def reads(self) -> bool:
        """Whether anything is read for what it is, and not only where the operator said so."""
        return self._decrypt != "observe"

    def mode_of(self, names: tuple[Name, ...]) -> str | None:
        """What the operator said of the first of these of which there is something said."""
        return next((mode for name in names if (mode := self._mode(*name))), None)

    def forget(self) -> None:
        """What was said of single hosts has changed."""
        # An exact name before a pattern, and the longer one first: who says more means it.
        modes = sorted(self._host_modes().items(), key=lambda item: ("*" in item[0], -len(item[0]), item[0]))
        self._modes = [(_mode_test(host), mode) for host, mode in modes]
        self.of.cache_clear()

    def _choose(self, names: tuple[Name, ...]) -> Verdict:
        """What is to be done with a connection of these names, of which there is one at least: asked, dialled, SNI."""
        provider, (host, port) = self._called(names)
        telemetry = any(fits(*name) for name in names for fits in self._telemetry)
        modes = [mode for name in names if (mode := self._mode(*name))]
        if modes:
            # Of two names one may be shown to us and the other meant: what must not be read is not read.
            decrypt = "observe" not in modes
        elif self._decrypt == "observe" or telemetry:
            decrypt = False
        else:
            decrypt = self._decrypt == "all" or provider is not None
        if telemetry and not decrypt:
            provider = None
        return Verdict(decrypt, _told(host, port), provider)

    def _called(self, names: tuple[Name, ...]) -> tuple[tuple[str, str] | None, Name]:
        """The provider and the name a person would call the connection by."""
        for name in names:
            if provider := self._router.knows(*name):
                return provider, name
        return None, next((name for name in names if not is_address(name[0])), names[0])

    def _mode(self, host: str, port: int) -> str | None:
        return next((mode for fits, mode in self._modes if fits(host, port)), None)


def telemetry_hosts() -> list[str]:
    """Names and patterns of the hosts that clients report to (``data/telemetry.toml``)."""
    text = resources.files("aitap.access.decryption").joinpath("data/telemetry.toml").read_text("utf-8")
    return [host for row in tomllib.loads(text)["telemetry"] for host in row["hosts"]]


def plain_name(host: str) -> str:
    """A host as tables have it: as on the wire (RFC 5890, 2.3.2.1), in lower case, without last dot and brackets."""
    name = host.strip("[]").rstrip(".").lower()
    if not name.isascii():
        # mitmproxy has decoded what CONNECT named.
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            name = name.encode("ascii", "replace").decode()
    return name[:_LONGEST]


def is_address(host: str) -> bool:
    """Whether this is an IP address, not a name."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _told(host: str, port: int) -> str:
    if port in _WEB_PORTS:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _mode_test(host: str) -> Callable[[str, int], bool]:
    if host.count(":") > 1 and not host.startswith("["):
        return lambda name, _: name == host  # an IPv6 address, as the commands take it
    try:
        return host_test(host)
    except ValueError:
        return lambda name, _: name == host
