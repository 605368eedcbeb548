"""``aitap ca init`` and ``aitap ca renew``: the CA made, brought from elsewhere, and renewed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aitap.certs.authority import PUBLIC, SIGNING, AuthorityError, ensure_authority
from aitap.export.failures import Failure
from aitap.export.proxy_options import confdir_option
from aitap.export.store import database_option, in_force, opened

if TYPE_CHECKING:
    from aitap.certs.permitted import Permitted

__all__ = ["init", "renew"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@confdir_option
@click.option("--force", is_flag=True, help="Also where a CA is there already; the old one is kept in a folder beside.")
@click.option("--unconstrained", is_flag=True, help="May sign for any host, as decrypt = all needs it.")
@click.option("--cert", metavar="FILE", type=_FILE, help="Use this CA certificate (PEM) instead of making one.")
@click.option("--key", metavar="FILE", type=_FILE, help="The key of --cert (PEM).")
@click.option("--chain", metavar="FILE", type=_FILE, help="The certificates above --cert, up to the root (PEM).")
@click.option("--passphrase-file", metavar="FILE", type=_FILE, help="Holds the passphrase of --key.")
@database_option
def init(
    *,
    confdir: Path,
    force: bool,
    unconstrained: bool,
    cert: Path | None,
    key: Path | None,
    chain: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Make the CA: a root for clients to trust, and an intermediate that can sign for AI hosts alone.

    The hosts are those of the provider table, of the [[provider]] rows in aitap.toml and of `aitap hosts
    decrypt`. The root's key, aitap-root.pem, is needed for renewals only and may be kept elsewhere. With --cert
    and --key the proxy signs with a CA of your own, such as an intermediate of your company's: clients go on
    trusting the root that they know.
    """
    from aitap.certs.confdir import install
    from aitap.certs.own_ca import create

    confdir = confdir.expanduser().absolute()
    if not force and any((confdir / name).exists() for name in (SIGNING, PUBLIC)):
        raise Failure(
            f"{confdir} holds a CA already: `aitap ca show` tells which; --force puts another in its place, which "
            "clients must then trust"
        )
    if cert is None and key is None:
        if chain or passphrase_file:
            raise click.UsageError("--chain and --passphrase-file go with --cert and --key")
        made = create(confdir, None if unconstrained else _permitted(), replace=force)
    elif cert is None or key is None:
        raise click.UsageError("--cert and --key go together")
    elif unconstrained:
        raise click.UsageError("--unconstrained is for a CA made here; that of --cert is as it is")
    else:
        from aitap.certs.bring import read_authority

        signing_key, certificates = read_authority(cert, key, chain, _passphrase(passphrase_file))
        made = install(confdir, signing_key, certificates, replace=force)
    if not made:
        raise Failure(f"{confdir} holds a CA that was made this moment by another; see `aitap ca show`")
    authority = ensure_authority(confdir)
    click.echo(authority.path)
    click.echo(f"clients must trust this certificate: SHA-256 {authority.fingerprint}", err=True)


@click.command()
@confdir_option
@click.option("--root", metavar="FILE", type=_FILE, help="Where aitap-root.pem is, if not in the folder.")
@click.option(
    "--unconstrained/--constrained",
    default=None,
    help="May sign for any host, or for AI hosts alone; else as before.",
)
@database_option
def renew(*, confdir: Path, root: Path | None, unconstrained: bool | None) -> None:
    """Make a new intermediate under the same root. Clients trust the root and need not change.

    A proxy does this by itself in time, where it finds the root's key; one that runs takes the new
    intermediate with the next connection.
    """
    from aitap.certs.constraints import permitted_by
    from aitap.certs.own_ca import renew as renewed
    from aitap.certs.own_ca import signing_chain

    confdir = confdir.expanduser().absolute()
    if unconstrained is None:
        unconstrained = permitted_by(signing_chain(confdir)[0]) is None
    made = renewed(confdir, None if unconstrained else _permitted(), root)
    click.echo(f"{made.subject.rfc4514_string()}, valid until {made.not_valid_after_utc:%Y-%m-%d}")


def _permitted() -> Permitted:
    """What we decrypt, now. A database that is not there yet knows of no further hosts."""
    from aitap.certs.permitted import decrypted_hosts, permitted_names
    from aitap.storage.database import StorageError

    modes: dict[str, str] = {}
    with contextlib.suppress(StorageError):
        from aitap.storage.host_rules import list_rules

        with opened() as database:
            modes = {rule["pattern"]: rule["mode"] for rule in list_rules(database)}
    permitted = permitted_names(decrypted_hosts(in_force().providers, modes))
    for pattern in permitted.beyond:
        click.echo(f"no CA can be made for {pattern} alone: its hosts are left out; write names or *.name", err=True)
    return permitted


def _passphrase(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        text = path.read_bytes().strip(b"\r\n")
    except OSError as error:
        raise AuthorityError(f"{path}: {error.strerror or error}") from None
    if not text:
        raise AuthorityError(f"{path} is empty: write the passphrase into it")
    return text
