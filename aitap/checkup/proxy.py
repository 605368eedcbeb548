"""The proxy as a client meets it: whether it answers, takes the key, and signs with the CA that clients trust."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

import msgspec
from cryptography import x509

from aitap.checkup.finding import Finding, ok, problem, warning
from aitap.checkup.tunnel import NoProxyError, tunnel, unverified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.checkup.situation import Situation

__all__ = ["HOST", "check_proxy"]

HOST = "api.anthropic.com"
"""The provider to whom a tunnel is asked for. Nothing is sent there."""

_SECONDS = 2.5

# X509_verify_cert_error_string(3), RFC 5280 6.1.
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME = 9, 10, 62


def check_proxy(situation: Situation) -> Iterator[Finding]:
    """Ask the proxy for a tunnel to a provider and shake hands there."""
    proxy = situation.proxy
    try:
        with tunnel(proxy, HOST, seconds=_SECONDS) as answer:
            status, reason = answer.status, answer.reason
    except NoProxyError as error:
        yield problem(
            "proxy.answers",
            f"{proxy.place} is taken by something that is no proxy: {error}",
            "stop it, or choose another port: `aitap run --port 8081`, then AITAP_PROXY or --proxy for the clients",
        )
        return
    except OSError as error:
        yield _silent(situation, error)
        return
    yield from _answered(situation, status, reason)


def _silent(situation: Situation, error: OSError) -> Finding:
    place = situation.proxy.place
    reason = "it does not answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
    start = "start it with `aitap run`" if situation.here else "ask who runs it, or whether the network lets you there"
    return problem(
        "proxy.answers",
        f"no proxy answers at {place} ({situation.proxy_from}): {reason}",
        f"{start}; where it is elsewhere, say so with --proxy",
    )


def _answered(situation: Situation, status: int, reason: str) -> Iterator[Finding]:
    proxy = situation.proxy
    if status == 407:
        yield ok("proxy.answers", f"a proxy answers at {proxy.place} ({situation.proxy_from})")
        yield _refused(situation)
    elif 200 <= status < 300:
        yield ok("proxy.answers", f"a proxy answers at {proxy.place} ({situation.proxy_from})")
        yield ok("proxy.key", f"it takes the key of {proxy.username}" if proxy.authorization else "it wants no key")
        yield from _handshake(situation)
        yield from _open_to_others(situation)
    elif status in {502, 504}:
        yield problem(
            "proxy.upstream",
            f"the proxy at {proxy.place} cannot reach {HOST}: {status} {reason}",
            "check the way from the proxy to the internet; behind another proxy, set AITAP_UPSTREAM for `aitap run`",
        )
    elif status in {400, 404, 405, 501}:
        yield problem(
            "proxy.answers",
            f"{proxy.place} is taken by an HTTP server that is no proxy: it answers {status} {reason}".rstrip(),
            "stop it, or choose another port: `aitap run --port 8081`, then AITAP_PROXY or --proxy for the clients",
        )
    else:
        yield problem(
            "proxy.answers",
            f"the proxy at {proxy.place} refuses a tunnel to {HOST}: {status} {reason}".rstrip(),
            "see the log of the proxy; its rules are in its aitap.toml",
        )


def _refused(situation: Situation) -> Finding:
    if situation.proxy.password:
        return problem(
            "proxy.key",
            f"it refuses the key of {situation.proxy.username}: wrong, expired or revoked",
            "on the proxy: `aitap keys list`, `aitap keys create --user NAME`; here: HTTPS_PROXY=http://USER:KEY@HOST:PORT",
        )
    return problem(
        "proxy.key",
        "it wants a key, and none is in the address",
        'eval "$(aitap env --key-file FILE)", or HTTPS_PROXY=http://USER:KEY@HOST:PORT; '
        "`aitap keys create --user NAME` makes a key",
    )


def _handshake(situation: Situation) -> Iterator[Finding]:
    authority = situation.authority()
    if authority is None:
        return  # the checks of the CA say so
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(authority))
    try:
        with tunnel(situation.proxy, HOST, seconds=_SECONDS) as granted:
            granted.handshake(context, HOST)
    except ssl.SSLCertVerificationError as error:
        yield _not_trusted(situation, error)
    except NoProxyError as error:
        yield problem("proxy.tls", f"the tunnel broke: {error}", "see the log of the proxy")
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        yield problem("proxy.tls", f"no TLS with {HOST} through the proxy: {reason}", "see the log of the proxy")
    else:
        yield ok("proxy.tls", f"{HOST} is decrypted, with a certificate of the CA that clients are told to trust")


def _not_trusted(situation: Situation, error: ssl.SSLCertVerificationError) -> Finding:
    if error.verify_code in {_EXPIRED, _NOT_YET_VALID}:
        return problem(
            "proxy.tls",
            f"the proxy's certificate for {HOST} is out of date: {error.verify_message}",
            "compare the clocks of both machines; an expired CA is renewed with `aitap ca renew` and a new start",
        )
    if error.verify_code == _OTHER_NAME:
        return problem("proxy.tls", f"the proxy's certificate is not for {HOST}", "see the log of the proxy")
    issuer = _issuer(situation)
    if issuer is None or "mitmproxy" in issuer or "aitap" in issuer:
        renew = (
            "stop the proxy and start it again: it may still hold the CA it started with, or another --confdir; where "
            f"it is on another machine, behind a tunnel: `aitap ca fetch http://{situation.proxy.place}`"
            if situation.here
            else f"the proxy has a new CA: `aitap ca fetch --replace http://{situation.proxy.place}`, compare the print"
        )
        return problem(
            "proxy.tls", f"the proxy signs with another CA than {situation.certificate}: {error.verify_message}", renew
        )
    return warning(
        "proxy.tls",
        f"{HOST} is not decrypted by this proxy: its certificate is from {issuer}",
        "with decrypt = observe, or `aitap hosts observe`, that is meant so; else something behind the proxy inspects "
        "TLS: set upstream_ca",
    )


def _issuer(situation: Situation) -> str | None:
    try:
        with tunnel(situation.proxy, HOST, seconds=_SECONDS) as granted:
            shown = x509.load_der_x509_certificate(granted.handshake(unverified(), HOST))
    except (OSError, NoProxyError, ValueError):
        return None
    return shown.issuer.rfc4514_string()


def _open_to_others(situation: Situation) -> Iterator[Finding]:
    """Whether somebody without a key, on another machine, would be let through."""
    stranger = msgspec.structs.replace(situation.proxy, username=None, password=None)
    address = None
    if situation.here:
        address = _own_address()
        if address is None:
            return
    try:
        with tunnel(stranger, HOST, seconds=_SECONDS, address=address) as answer:
            status = answer.status
    except (OSError, NoProxyError):
        return
    if 200 <= status < 300:
        place = f"{address or situation.proxy.host}:{situation.proxy.port}"
        yield problem(
            "proxy.open",
            f"whoever reaches {place} may use the proxy without a key, and is recorded as its owner",
            "set AITAP_AUTH=required for the proxy and give out keys (`aitap keys create --user NAME`), or listen on "
            "127.0.0.1",
        )
    elif status == 407:
        yield ok("proxy.open", "nobody gets through without a key")


def _own_address() -> str | None:
    """An address of this machine that others reach; asking sends nothing."""
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            address: str = probe.getsockname()[0]
            if not address.startswith("127.") and address != "::1":
                return address
    return None
