"""``aitap ca fetch``: the CA of a proxy on another machine, for the clients of this one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aitap.certs.authority import DEFAULT_CONFDIR, Authority
from aitap.certs.fetched import certificate_file, fetch, fetched_path, is_own, same_fingerprint, save
from aitap.export.failures import Failure
from aitap.export.proxy_options import key_file_option, proxy_argument, with_key

if TYPE_CHECKING:
    from aitap.certs.proxy_address import ProxyAddress

__all__ = ["fetch_ca"]


@click.command("fetch")
@proxy_argument
@key_file_option
@click.option("--fingerprint", metavar="SHA256", help="The fingerprint it must have, as `aitap ca show` on the proxy.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep it there instead of where env, exec and doctor look for it.",
)
@click.option("--replace", is_flag=True, help="Also where another CA of this proxy is there.")
def fetch_ca(
    *, proxy: ProxyAddress, key_file: Path | None, fingerprint: str | None, output: Path | None, replace: bool
) -> None:
    """Fetch the CA certificate of the proxy at URL, which is on another machine.

    URL is http://USER:KEY@HOST:PORT where the proxy wants a key; AITAP_PROXY where it is not given. Only the
    certificate is fetched: the key never leaves the proxy. Compare the fingerprint with what `aitap ca show`
    says there, or give it with --fingerprint: without, nothing vouches for what was fetched.
    """
    der = fetch(with_key(proxy, key_file))
    if fingerprint is not None:
        try:
            same = same_fingerprint(der, fingerprint)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--fingerprint") from None
        if not same:
            shown = Authority(path=fetched_path(proxy), der=der).fingerprint
            raise Failure(f"{proxy.place} shows another CA than that: {shown}; nothing was kept")
    path = output or fetched_path(proxy)
    if output is None and proxy.on_loopback and is_own(der):
        # A copy would be trusted still when the folder has another CA.
        if path.exists():
            save(der, path, replace=replace)
            path.unlink()
        click.echo(DEFAULT_CONFDIR.expanduser() / "mitmproxy-ca-cert.pem")
        click.echo("this machine's own CA: nothing had to be kept", err=True)
        return
    new = save(der, path, replace=replace)
    authority = certificate_file(path)
    click.echo(authority.path)
    if fingerprint is None:
        click.echo(f"{'kept' if new else 'already there'}; SHA-256 {authority.fingerprint}", err=True)
        click.echo("compare this with `aitap ca show` on the proxy's machine", err=True)
    sys.stdout.flush()
