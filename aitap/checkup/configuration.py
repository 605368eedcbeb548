"""The settings and the provider table, as a proxy that is started here and now would have them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from aitap import settings
from aitap.capture.provider_rows import builtin_table
from aitap.checkup.finding import Finding, ok, problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.checkup.situation import Situation

__all__ = ["check_configuration"]


def check_configuration(situation: Situation) -> Iterator[Finding]:
    """Read the settings of the proxy on this machine."""
    if not situation.here:
        return
    try:
        path = settings.config_file(situation.environ)
        found = settings.load({"database_url": situation.database_url}, situation.environ)
    except settings.SettingsError as error:
        yield problem("settings.file", str(error), "put it right: the proxy does not start like this")
        return
    yield ok("settings.file", f"{path}" if path else "no aitap.toml: environment and defaults alone")
    for name, value in (("htpasswd", found.htpasswd), ("upstream_ca", found.upstream_ca)):
        if value and not Path(value).expanduser().is_file():
            yield problem(f"settings.{name}", f"{name} names {value}, which is not a file", f"put {name} right")
    if found.auth == "none":
        yield warning(
            "settings.auth",
            "auth = none: all traffic is recorded as yours, whoever it comes from",
            "auth = auto wants keys as soon as the proxy listens on more than loopback",
        )
    yield from _providers(found)


def _providers(found: settings.Settings) -> Iterator[Finding]:
    rows = found.providers
    if not rows:
        return
    builtin = {host: row["name"] for row in builtin_table()["provider"] for host in row["hosts"]}
    troubled = False
    for name, times in Counter(row.name for row in rows).items():
        if times > 1:
            troubled = True
            yield warning(
                "providers.name",
                f"{times} [[provider]] rows are named {name}",
                "give each a name of its own, or join them",
            )
    seen: dict[tuple[str, str], str] = {}
    for row in rows:
        for host in row.hosts:
            first = seen.setdefault((host, row.routes), row.name)
            if first != row.name:
                troubled = True
                yield warning(
                    "providers.host",
                    f"provider {row.name} never gets {host}: {first} has it with the same routes, and stands before it",
                    f"take {host} out of one of them",
                )
            elif host in builtin:
                troubled = True
                yield warning(
                    "providers.host",
                    f"provider {row.name} takes {host} from the built-in {builtin[host]}",
                    "leave it where that is meant; else take the row out",
                )
    if not troubled:
        yield ok("providers.own", f"{len(rows)} of your own: {', '.join(row.name for row in rows)}")
