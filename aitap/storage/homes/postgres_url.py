"""A PostgreSQL URL as people write it, made one that the driver takes as it was meant; nothing here tells a password.

The form is libpq's (PostgreSQL's manual, "Connection URIs"): ``postgresql://user:password@host:port,host:port/name?sslmode=require``,
of which any part may be left out. The driver's own words about a URL that it cannot read quote it, with the password;
so what it would refuse is refused here.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from aitap.storage.homes.home import StorageError

__all__ = ["PostgresUrl", "read_url"]

_FORM = "write postgresql://user:password@host:5432/name, and in a password %40 for @, %2F for /, %3F for ?, %25 for %"
_PARTS = re.compile(
    r"(?P<scheme>\w+)://(?:(?P<user>[^/?]*)@)?(?P<hosts>[^/?@]*)(?:/(?P<name>[^?]*))?(?:\?(?P<query>.*))?"
)
_HOST = re.compile(r"(?:\[[^][]*\]|[^][:]*)(?::(?P<port>[^:]*))?")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_WHERE = ("host", "hostaddr", "port", "dbname", "user", "service")
"""What says in the query which database is meant, where it is not said before."""


class PostgresUrl(NamedTuple):
    """What a URL says."""

    url: str
    """For the driver."""
    name: str
    """For people: without a password, and without what does not say which database it is."""
    told: dict[str, str]
    """The parameters behind the question mark, decoded."""


def read_url(url: str) -> PostgresUrl:
    """Read it. Raises :class:`StorageError` for one that the driver would not take."""
    found = _PARTS.fullmatch(url)
    # An @ after the host is one of a password that has been cut before it.
    if found is None or "@" in (found["name"] or "") or (found["user"] is None and "@" in (found["query"] or "")):
        raise StorageError(f"cannot read the database URL; {_FORM}")
    if re.search(r"\s", url):
        raise StorageError(f"cannot read the database URL: there is a space in it, which is written %20; {_FORM}")
    if _BROKEN.search(url):
        raise StorageError(f"cannot read the database URL: there is a lone % in it; {_FORM}")
    for host in found["hosts"].split(","):
        place = _HOST.fullmatch(host)
        if place is None or not (place["port"] or "1").isdecimal() or not 0 < int(place["port"] or 1) < 65536:
            raise StorageError(f"cannot read the database URL: behind the host and a colon goes a port; {_FORM}")
    # Of several @ the last one ends the password.
    user, colon, password = (found["user"] or "").replace("@", "%40").partition(":")
    query = found["query"] or ""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    told = {unquote(name): unquote(value) for name, _, value in pairs}
    at = "" if found["user"] is None else "@"
    rest = found["hosts"] + ("" if found["name"] is None else f"/{found['name']}")
    where = "&".join(f"{name}={value}" for name, value in told.items() if name in _WHERE)
    return PostgresUrl(
        f"postgresql://{user}{colon}{password}{at}{rest}" + (f"?{query}" if query else ""),
        f"postgresql://{user}{at}{rest}" + (f"?{where}" if where else ""),
        told,
    )
