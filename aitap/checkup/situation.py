"""What the checks look at: the proxy a client is to use, the CA it is to trust, the shell it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from aitap.certs.authority import DEFAULT_CONFDIR, certificates
from aitap.certs.fetched import fetched_path, signs_elsewhere
from aitap.certs.proxy_address import ProxyAddress

__all__ = ["Situation"]


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """The question, whole: no check looks at the process's own environment or clock behind its back."""

    proxy: ProxyAddress
    proxy_from: str
    """Who named it: ``--proxy``, a variable's name, or ``the default``."""
    here: bool
    """Whether the proxy is to be on this machine: only then are its database, settings and CA key looked at."""
    confdir: Path
    ca_file: Path | None
    """``--ca``."""
    environ: Mapping[str, str]
    now: datetime
    database_url: str | None = None
    """As the command line gave it."""
    client: str | None = None
    """The one client that is of interest, by its name in the table of clients; None for all."""

    @property
    def certificate(self) -> Path:
        """The file with the CA certificate that clients are to trust, whether it is there or not."""
        if self.ca_file is not None:
            return self.ca_file
        chosen = self.confdir != DEFAULT_CONFDIR.expanduser().absolute()
        if not chosen and not (self.proxy.on_loopback and not signs_elsewhere(self.proxy)):
            fetched = fetched_path(self.proxy)
            if fetched.exists() or not self.here:
                return fetched
        return self.confdir / "mitmproxy-ca-cert.pem"

    def authority(self) -> bytes | None:
        """The CA certificate that clients are to trust, as DER; None where there is none."""
        try:
            found = certificates(self.certificate.read_bytes())
        except OSError:
            return None
        return found[0] if found else None
