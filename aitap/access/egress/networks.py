"""Which addresses are nobody's business of a client: this machine, its network, the cloud's metadata.

One table says what is refused and by which RFC. An address that carries another inside (IPv4-mapped, NAT64) is
judged by the one inside, since that is where packets go. :func:`literal` reads every spelling of an address that
resolvers know, so that ``0x7f.1`` is no name.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from aitap.short_questions import remembering

__all__ = ["IPAddress", "canonical", "is_loopback", "literal", "refusal"]

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# What is in none of these and, for IPv6, in 2000::/3 is public. The IANA special-purpose registries (RFC 6890,
# RFC 8190) list them; what is there for every host of the world to reach is left out.
_REFUSED: tuple[tuple[str, str], ...] = (
    # A single address in a public block, but on Azure the platform itself answers there.
    ("168.63.129.16/32", "cloud platform"),
    ("0.0.0.0/8", "unspecified"),  # RFC 1122, 3.2.1.3
    ("10.0.0.0/8", "private"),  # RFC 1918
    ("100.64.0.0/10", "carrier-grade NAT"),  # RFC 6598
    ("127.0.0.0/8", "loopback"),  # RFC 1122, 3.2.1.3
    ("169.254.0.0/16", "link-local"),  # RFC 3927; metadata services are at 169.254.169.254
    ("172.16.0.0/12", "private"),  # RFC 1918
    ("192.0.0.0/24", "protocol assignment"),  # RFC 6890, 2.1
    ("192.0.2.0/24", "documentation"),  # RFC 5737
    ("192.88.99.0/24", "6to4 relay"),  # RFC 7526
    ("192.168.0.0/16", "private"),  # RFC 1918
    ("198.18.0.0/15", "benchmarking"),  # RFC 2544
    ("198.51.100.0/24", "documentation"),  # RFC 5737
    ("203.0.113.0/24", "documentation"),  # RFC 5737
    ("224.0.0.0/4", "multicast"),  # RFC 5771
    ("240.0.0.0/4", "reserved"),  # RFC 1112, 4; broadcast of RFC 919 among them
    ("::/128", "unspecified"),  # RFC 4291, 2.5.2
    ("::1/128", "loopback"),  # RFC 4291, 2.5.3
    ("::/96", "IPv4-compatible"),  # RFC 4291, 2.5.5.1, deprecated
    ("::ffff:0:0:0/96", "IPv4-translated"),  # RFC 2765, 2.1
    ("64:ff9b:1::/48", "local NAT64"),  # RFC 8215: where the IPv4 address stands in it is the operator's choice
    ("100::/64", "discard"),  # RFC 6666
    ("2001::/23", "protocol assignment"),  # RFC 2928; Teredo (RFC 4380), benchmarking (RFC 5180), ORCHID (RFC 7343)
    ("2001:db8::/32", "documentation"),  # RFC 3849
    ("2002::/16", "6to4"),  # RFC 3056; its relays are gone since RFC 7526
    ("3fff::/20", "documentation"),  # RFC 9637
    ("5f00::/16", "segment routing"),  # RFC 9602
    ("fc00::/7", "unique local"),  # RFC 4193; fd00:ec2::254 is a metadata service
    ("fe80::/10", "link-local"),  # RFC 4291, 2.5.6
    ("fec0::/10", "site-local"),  # RFC 3879
    ("ff00::/8", "multicast"),  # RFC 4291, 2.7
)
_NETWORKS = [(ipaddress.ip_network(network), reason) for network, reason in _REFUSED]
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA gives out (RFC 4291, 2.4; RFC 3587, 3)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")  # RFC 4291, 2.5.5.2
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, 2.1: all an IPv6-only network may have of the Internet

# A number of inet_aton(3): hexadecimal, octal or decimal.
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


@lru_cache(maxsize=1024)
def refusal(address: IPAddress) -> str | None:
    """Why a client may not go there, in a word or two; None where the address is public."""
    address = _inner(address)
    for network, reason in _NETWORKS:
        if address in network:
            return reason
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return "reserved"
    return None


def is_loopback(address: IPAddress) -> bool:
    """Whether packets to it stay on this machine."""
    return _inner(address).is_loopback


def canonical(host: str) -> str:
    """A host as it is compared: lower case, without brackets, zone of an address, and dot at the end; IDNA as ASCII.

    A name that IDNA cannot write stays as it is: no resolver will find it.
    """
    return _canonical(host)


def _compared(host: str) -> str:
    host = host.strip().lower()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    host = host.rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii").rstrip(".").lower()
        except UnicodeError:
            return host
    return str(address) if (address := literal(host)) else host


_canonical = remembering(_compared, entries=1024)


def literal(host: str) -> IPAddress | None:
    """The address a host is spelt as, in any way a resolver reads; None where it is a name.

    Beside the usual forms these are those of inet_aton(3): ``127.1``, ``2130706433``, ``0x7f.0.0.1``,
    ``0177.1``. A zone (``fe80::1%eth0``, RFC 4007, 11) does not change what kind of address it is.
    """
    host = host.strip().lower().rstrip(".")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        return ipaddress.ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        return _inet_aton(host)


def _inet_aton(host: str) -> ipaddress.IPv4Address | None:
    parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        *first, last = (_number(part) for part in parts)
    except ValueError:
        return None
    room = 8 * (4 - len(first))  # the last number fills what is left
    if any(number > 255 for number in first) or last >= 1 << room:
        return None
    value = last
    for place, number in enumerate(first):
        value |= number << (24 - 8 * place)
    return ipaddress.IPv4Address(value)


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def _inner(address: IPAddress) -> IPAddress:
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id:
            address = ipaddress.IPv6Address(int(address))
        if address in _MAPPED or address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
