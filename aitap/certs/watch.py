"""Keeps the certificates of a running proxy good: renews the CA in time, and has mitmproxy use what is on disk.

A part of the proxy like those of the access control. It looks at the CA's file at each handshake, which
costs a ``stat``, so that a CA that was renewed, by this proxy or by ``aitap ca renew``, is in force at once.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitmproxy import ctx

from aitap.certs.authority import SIGNING, AuthorityError
from aitap.certs.constraints import permitted_by
from aitap.certs.leaves import LeafStore, limit_leaf_life
from aitap.certs.own_ca import reason_to_renew, renew, signing_chain
from aitap.certs.permitted import decrypted_hosts, permitted_names

if TYPE_CHECKING:
    import asyncio

    from aitap.access.startup import Startup

__all__ = ["CertificateWatch"]

logger = logging.getLogger(__name__)

_EVERY = 3600.0
"""Seconds between two looks at how long the CA is still valid."""

Stamp = tuple[int, int, int]


class CertificateWatch:
    """Renewal and reload (see :class:`aitap.access.startup.Part`)."""

    def __init__(self) -> None:
        self._startup: Startup | None = None
        self._next: asyncio.TimerHandle | None = None
        self._looking = self._again = False
        self._stamp: Stamp | None = None
        self._refused: Stamp | None = None
        self._said: str | None = None

    # Renewal

    def start(self, startup: Startup) -> None:
        """Renew now if it is time to, and look again from now on. Never keeps the proxy from starting."""
        limit_leaf_life()
        self._startup = startup
        startup.directory.on_change.append(self._look_soon)
        self._say(self._keep_current(), at_start=True)
        self._later()

    def stop(self) -> None:
        """The proxy ends."""
        if self._next is not None:
            self._next.cancel()
        self._startup = self._next = None

    def _later(self) -> None:
        if self._startup is not None:
            self._next = self._startup.loop.call_later(_EVERY, self._look_soon)

    def _look_soon(self) -> None:
        """Reading, signing and writing take milliseconds: a thread has them."""
        if self._startup is None:
            return
        if self._looking:
            self._again = True
            return
        if self._next is not None:
            self._next.cancel()
        self._looking = True
        self._startup.loop.run_in_executor(None, self._keep_current).add_done_callback(self._looked)

    def _looked(self, done: asyncio.Future[str | None]) -> None:
        self._looking, again, self._again = False, self._again, False
        if (error := done.exception()) is not None:
            logger.error("aitap: the CA cannot be looked after: %s", error)
        else:
            self._say(done.result())
        if again:
            self._look_soon()
        else:
            self._later()

    def _keep_current(self) -> str | None:
        """Renew where there is a reason to; a line about what is wrong, None for nothing."""
        startup, confdir = self._startup, _confdir()
        if startup is None or not (confdir / SIGNING).exists():
            return None
        permitted = permitted_names(decrypted_hosts(startup.settings.providers, startup.directory.host_modes))
        try:
            if reason := reason_to_renew(confdir, permitted):
                try:
                    made = renew(confdir, permitted if permitted_by(signing_chain(confdir)[0]) else None)
                except AuthorityError as error:
                    return f"the CA should be renewed, for {reason}, but {error}"
                logger.info(
                    "aitap: the CA was renewed, for %s; valid until %s", reason, f"{made.not_valid_after_utc:%Y-%m-%d}"
                )
            constrained = permitted_by(signing_chain(confdir)[0]) is not None
        except AuthorityError as error:
            return str(error)
        if constrained and startup.settings.decrypt == "all":
            return (
                "decrypt = all, but the CA may sign for AI hosts alone, so clients will refuse every other host: "
                "`aitap ca renew --unconstrained` lifts that (`aitap ca init --unconstrained` where there is no CA yet)"
            )
        if constrained and permitted.beyond:
            return (
                f"the CA cannot be made to sign for {', '.join(permitted.beyond)} alone: write such hosts as names or "
                "as *.name, or lift the limits by `aitap ca renew --unconstrained`"
            )
        return None

    def _say(self, line: str | None, *, at_start: bool = False) -> None:
        # Once, and not each hour; an error before startup is over would end mitmproxy.
        if line is not None and line != self._said:
            logger.log(logging.WARNING if at_start else logging.ERROR, "aitap: %s", line)
        self._said = line

    # Reload

    def tls_start_client(self, _: Any) -> None:
        """A client begins TLS: mitmproxy takes the leaf from its store in a moment."""
        config: Any = ctx.master.addons.get("tlsconfig")  # type: ignore[no-untyped-call]
        signing = _confdir() / SIGNING
        stamp = _stamp(signing)
        ours = isinstance(config.certstore, LeafStore)
        if stamp is None or stamp == (self._stamp if ours else self._refused):
            return
        try:
            store = LeafStore.of(signing, ctx.options.cert_passphrase)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the file, the CA in use goes on
            if stamp != self._refused:
                logger.error("aitap: %s cannot be used, the CA stays as it was: %s", signing, error)  # noqa: TRY400
            self._stamp = self._refused = stamp
            return
        store.adopt(config.certstore)
        config.certstore = store
        self._stamp = stamp

    quic_start_client = tls_start_client


def _confdir() -> Path:
    return Path(ctx.options.confdir).expanduser().absolute()


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
