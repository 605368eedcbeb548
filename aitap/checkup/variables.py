"""The variables of this shell: whether what is started from it uses the proxy and trusts the CA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aitap.certs.authority import certificates
from aitap.certs.direct import LOOPBACK, ai_hosts, entries, excluded
from aitap.certs.environment import ADDED, DIRECT, PROXY, REPLACED, SWITCHES
from aitap.certs.proxy_address import ProxyAddress, parse
from aitap.checkup.finding import Finding, ok, problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aitap.checkup.situation import Situation

__all__ = ["SET_UP", "check_variables", "same_place", "uses_proxy"]

SET_UP = 'eval "$(aitap env)", or `aitap exec -- COMMAND`'
"""What sets a shell up."""

_UNVERIFIED = {
    "NODE_TLS_REJECT_UNAUTHORIZED": "0",
    "PYTHONHTTPSVERIFY": "0",
    "GIT_SSL_NO_VERIFY": "1",
}
_BASES = ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "OPENAI_API_BASE", "GOOGLE_GEMINI_BASE_URL", "AWS_ENDPOINT_URL")


def check_variables(situation: Situation) -> Iterator[Finding]:
    """Look at each variable that `aitap env` would set, and at those that undo it."""
    environ = situation.environ
    if not any(environ.get(name) for name in (*PROXY, "ALL_PROXY", "all_proxy")):
        yield warning("shell.proxy", "this shell does not use the proxy: none of its variables is set", SET_UP)
    else:
        yield from _proxies(situation)
        yield from _files(situation)
    yield from _direct(environ)
    for name, value in _UNVERIFIED.items():
        if environ.get(name) == value:
            yield problem("shell.unverified", f"{name}={value} switches off the check of certificates", f"unset {name}")
    yield from _bases(environ)


def uses_proxy(environ: Mapping[str, str], proxy: ProxyAddress) -> bool:
    """Whether what runs with these variables goes to this proxy."""
    return any(
        same_place(environ.get(name), proxy) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    )


def same_place(value: str | None, proxy: ProxyAddress) -> bool:
    """Whether a variable's value leads to this proxy; loopback has several names."""
    try:
        other = parse(value or "")
    except ValueError:
        return False
    return other.port == proxy.port and (other.host == proxy.host or (other.on_loopback and proxy.on_loopback))


def _proxies(situation: Situation) -> Iterator[Finding]:
    environ, proxy = situation.environ, situation.proxy
    unset = [name for name in PROXY if not environ.get(name)]
    wrong = False
    for name in PROXY:
        value = environ.get(name)
        if value and not same_place(value, proxy):
            wrong = True
            yield problem("shell.proxy", f"{name} leads to {_masked(value)}, not to {proxy.place}", SET_UP)
    for upper, lower in (PROXY[:2], PROXY[2:]):
        if environ.get(upper) and environ.get(lower) and environ[upper] != environ[lower]:
            wrong = True
            yield problem("shell.proxy", f"{upper} and {lower} differ, and clients read one or the other", SET_UP)
    if "HTTPS_PROXY" in unset and "https_proxy" in unset:
        yield problem("shell.proxy", "HTTPS_PROXY is not set: most clients go past the proxy", SET_UP)
    elif unset:
        yield warning("shell.proxy", f"not set: {', '.join(unset)}; some clients read only that one", SET_UP)
    elif not wrong:
        yield ok("shell.proxy", f"{', '.join(PROXY)} lead to the proxy")


def _masked(value: str) -> str:
    try:
        return str(parse(value))
    except ValueError:
        return "no address of a proxy"


def _files(situation: Situation) -> Iterator[Finding]:
    environ, authority = situation.environ, situation.authority()
    # Variables that name the same file are one finding: there are many of them, and as a rule one file.
    names: dict[str, list[str]] = {}
    for name in (*ADDED, *REPLACED):
        if value := environ.get(name):
            names.setdefault(value, []).append(name)
    good: list[str] = []
    for path, those in names.items():
        try:
            found = certificates(Path(path).read_bytes())
        except OSError as error:
            yield problem("shell.ca", f"{_name(those)} {path}: {error.strerror or error}", SET_UP)
            continue
        if authority is None:
            continue  # the checks of the CA say so
        if authority not in found:
            yield problem("shell.ca", f"{_name(those)} {path}, which does not hold the proxy's CA", SET_UP)
            continue
        alone = [name for name in those if name in REPLACED] if len(found) < 2 else []
        if alone:
            yield warning(
                "shell.ca",
                f"{_name(alone)} the CA alone, which replaces all roots: hosts that are tunnelled fail",
                SET_UP,
            )
        good += [name for name in those if name not in alone]
    unset = [name for name in (*ADDED, *REPLACED) if not environ.get(name)]
    unset += [name for name, value in SWITCHES.items() if environ.get(name) != value]
    if good:
        yield ok("shell.ca", f"{', '.join(good)} hold the CA")
    if unset:
        yield warning(
            "shell.ca", f"not set: {', '.join(unset)}; clients that heed one of these do not trust the CA", SET_UP
        )


def _name(variables: list[str]) -> str:
    return f"{', '.join(variables)} {'names' if len(variables) == 1 else 'name'}"


def _direct(environ: Mapping[str, str]) -> Iterator[Finding]:
    hosts = ai_hosts()
    for name in DIRECT:
        for entry in entries(environ.get(name) or ""):
            if around := excluded(entry, hosts):
                yield problem(
                    "shell.direct",
                    f"{name} has {entry}, and so {_some(around)} reached past the proxy",
                    f"take {entry} out of {name}",
                )
    if any(environ.get(name) for name in PROXY):
        own = entries(environ.get("NO_PROXY") or environ.get("no_proxy") or "")
        if "*" not in own and (lacking := [host for host in LOOPBACK if host not in own]):
            yield warning(
                "shell.direct",
                f"NO_PROXY lacks {', '.join(lacking)}: clients ask their own local servers through the proxy",
                SET_UP,
            )


def _some(hosts: list[str]) -> str:
    return f"{hosts[0]} and others are" if len(hosts) > 1 else f"{hosts[0]} is"


def _bases(environ: Mapping[str, str]) -> Iterator[Finding]:
    known = set(ai_hosts())
    for name in _BASES:
        value = environ.get(name)
        if not value:
            continue
        try:
            host = urlsplit(value).hostname or ""
        except ValueError:
            host = ""
        if host not in known:
            yield warning(
                "shell.base_url",
                f"{name} moves calls to {host or 'an address that cannot be read'}, which no built-in provider names",
                f"unset {name}, or name the host in aitap.toml under [[provider]]",
            )
