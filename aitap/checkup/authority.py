"""The CA on this machine: there, in its time, its keys to itself, its bundle up to date."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509

from aitap import settings
from aitap.certs.authority import Authority, certificates
from aitap.certs.bundle import bundle_path, system_roots
from aitap.certs.constraints import permitted_by
from aitap.certs.permitted import decrypted_hosts, permitted_names
from aitap.checkup.finding import Finding, ok, problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aitap.checkup.situation import Situation

__all__ = ["check_authority"]

_SOON = timedelta(days=30)
_SKEW = timedelta(minutes=5)


def check_authority(situation: Situation) -> Iterator[Finding]:
    """Look at the certificate that clients trust, and where the proxy is here, at its keys."""
    authority = situation.authority()
    path = situation.certificate
    if authority is None:
        fix = _made(situation) if situation.here else _fetched(situation)
        yield problem("ca.file", f"no CA certificate at {path}", fix)
    else:
        yield ok("ca.file", f"{path}")
        yield ok("ca.fingerprint", f"SHA-256 {Authority(path=path, der=authority).fingerprint}")
        yield from _dates(situation, authority)
        yield from _bundle(Authority(path=path, der=authority))
        yield from _store(authority)
    if situation.here:
        yield from _limits(situation)
        yield from _keys(situation.confdir)


def _made(situation: Situation) -> str:
    make = "`aitap ca init` makes it, and so does the first `aitap run`"
    if situation.proxy.authorization is None:
        return make
    # Who shows a key at loopback may be at the near end of a tunnel.
    return f"{make}; where the proxy is on another machine: `aitap ca fetch http://{situation.proxy.place}`"


def _fetched(situation: Situation) -> str:
    fetch = f"`aitap ca fetch http://{situation.proxy.place}`, or name its file with --ca"
    if situation.proxy_from.lower() != "https_proxy":
        return fetch
    # A company's, which was there before us: whoever has not set anything up yet looks at that one.
    return (
        f"{fetch}; where that is no aitap but your company's proxy: AITAP_UPSTREAM=$HTTPS_PROXY for `aitap run`, and "
        "`aitap doctor --proxy http://127.0.0.1:8080` looks at that"
    )


def _dates(situation: Situation, authority: bytes) -> Iterator[Finding]:
    try:
        own = x509.load_der_x509_certificate(authority)
    except ValueError as error:
        yield problem(
            "ca.expiry", f"the CA cannot be read: {error}", "`aitap ca init` with another --confdir, or fetch it"
        )
        return
    signing = _signing(situation.confdir) if situation.here else []
    for certificate in (own, *(other for other in signing if other != own)):
        name = "the CA" if certificate == own else "the intermediate CA"
        left = certificate.not_valid_after_utc - situation.now
        renew = (
            "`aitap ca renew`, then a new start of the proxy"
            if situation.here
            else "fetch the new one: `aitap ca fetch`"
        )
        if certificate.not_valid_before_utc > situation.now + _SKEW:
            yield problem(
                "ca.clock",
                f"{name} begins only on {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, and here it is "
                f"{situation.now:%Y-%m-%d %H:%M} UTC",
                "set the clock of this machine",
            )
        elif left < timedelta(0):
            yield problem("ca.expiry", f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d}", renew)
        elif left < _SOON:
            yield warning("ca.expiry", f"{name} expires in {left.days} days", renew)
        else:
            yield ok("ca.expiry", f"{name} is valid until {certificate.not_valid_after_utc:%Y-%m-%d}")


def _signing(confdir: Path) -> list[x509.Certificate]:
    """The certificates with which the proxy of this folder signs, where this user may read them."""
    try:
        return [
            x509.load_der_x509_certificate(der) for der in certificates((confdir / "mitmproxy-ca.pem").read_bytes())
        ]
    except (OSError, ValueError):
        return []


def _limits(situation: Situation) -> Iterator[Finding]:
    """Whether the CA can sign for what is to be decrypted, and for nothing else."""
    signing = _signing(situation.confdir)
    try:
        in_force = settings.load({"database_url": situation.database_url}, situation.environ)
        limits = [found for certificate in signing if (found := permitted_by(certificate)) is not None]
    except (settings.SettingsError, ValueError):
        return  # the checks of the settings say so; a certificate that cannot be read is another's
    if not signing:
        return
    if not limits and in_force.decrypt == "all":
        yield ok("ca.limits", "the CA may sign for any host, as decrypt = all needs it")
    elif not limits:
        yield warning(
            "ca.limits",
            "the CA may sign for any host: whoever gets its key can pose as your bank to those who trust it",
            "`aitap ca init --force` makes one for AI hosts alone; clients must then trust that one",
        )
    elif in_force.decrypt == "all":
        yield problem(
            "ca.limits",
            "decrypt = all, and the CA may sign for AI hosts alone: clients refuse its certificates for all others",
            "`aitap ca renew --unconstrained`, or decrypt = providers",
        )
    elif not all(limit.covers(permitted_names(decrypted_hosts(in_force.providers))) for limit in limits):
        yield problem(
            "ca.limits",
            "the CA may not sign for all hosts of the provider table: clients refuse its certificates for the others",
            "`aitap ca renew`",
        )
    else:
        yield ok("ca.limits", "the CA can sign for the hosts of the provider table, and for no others")


def _bundle(authority: Authority) -> Iterator[Finding]:
    bundle = bundle_path(authority)
    try:
        there = certificates(bundle.read_bytes())
    except OSError:
        yield warning(
            "ca.bundle", f"no trust bundle at {bundle}", "`aitap ca bundle` makes it; env, exec and run do, too"
        )
        return
    if authority.der not in there:
        yield problem("ca.bundle", f"{bundle} is of another CA", "`aitap ca bundle`")
    elif len(there) < 2:
        yield problem("ca.bundle", f"{bundle} lacks the system's roots", "`aitap ca bundle`")
    else:
        yield ok("ca.bundle", f"{bundle}, {len(there) - 1} roots beside the CA")


def _store(authority: bytes) -> Iterator[Finding]:
    if authority in system_roots({}):
        yield ok("ca.store", "the system's store has the CA: desktop programs trust it")
    else:
        yield ok("ca.store", "the system's store does not have the CA; only desktop programs would need that")


def _keys(confdir: Path) -> Iterator[Finding]:
    if os.name != "posix" or not confdir.is_dir():
        return
    keys, loose = 0, []
    for path in sorted(confdir.iterdir()):
        try:
            if not path.is_file() or not (path.suffix in {".p12", ".key"} or _holds_key(path)):
                continue
            keys += 1
            if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                loose.append(path)
        except OSError:
            continue
    # A p12 of mitmproxy's that is for clients holds no key, and looks no different from outside.
    loose = [path for path in loose if not path.name.endswith("-cert.p12")]
    if loose:
        names = " ".join(str(path) for path in loose)
        yield problem("ca.key", f"others may read the CA's key: {names}", f"chmod 600 {names}")
    elif keys:
        yield ok("ca.key", "nobody else may read the CA's key")
    if confdir.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield problem(
            "ca.folder", f"others may write into {confdir}, and put in a CA of theirs", f"chmod go-w {confdir}"
        )


def _holds_key(path: Path) -> bool:
    return path.suffix == ".pem" and b"PRIVATE KEY-----" in path.read_bytes()[: 1 << 20]
