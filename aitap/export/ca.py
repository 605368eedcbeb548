"""``aitap ca``: the CA the proxy signs with, and the trust bundle made of it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aitap.certs.authority import ensure_authority, facts
from aitap.certs.bundle import bundle_path, bundle_text, system_roots, write_bundle
from aitap.export.ca_fetch import fetch_ca
from aitap.export.ca_make import init, renew
from aitap.export.output import wants_json, write_json
from aitap.export.proxy_options import confdir_option
from aitap.export.query_options import json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.certs.authority import Facts

__all__ = ["ca"]


@click.group()
def ca() -> None:
    """The CA the proxy signs with, and the trust bundle for clients."""


ca.add_command(init)
ca.add_command(renew)
ca.add_command(fetch_ca)


@ca.command()
@confdir_option
@json_option
def show(*, confdir: Path, as_json: bool) -> None:
    """Show the CA: what clients trust, what signs for the proxy, for which hosts, and for how long.

    It is made now if there is none yet; the proxy then uses it.
    """
    authority = ensure_authority(confdir)
    known = facts(authority)
    if wants_json(asked=as_json):
        write_json(known)
        return
    bundle = bundle_path(authority)
    lines = [*_lines(known), ("bundle", f"{bundle}{'' if bundle.exists() else ' (made by `aitap ca bundle`)'}")]
    for name, value in lines:
        click.echo(f"{click.style(f'{name:<10}', dim=True)}  {value}")


def _lines(known: Facts) -> Iterator[tuple[str, str]]:
    yield "path", known.path
    yield "subject", known.subject
    yield "SHA-256", known.sha256
    yield from _dates(known.not_before, known.not_after)
    signer = known.signer
    if signer is None:
        yield "kind", "unknown: this user may not read the proxy's files"
        return
    hosts = "any host" if signer.dns is None else f"{len(signer.dns)} AI hosts and all below them (--json lists them)"
    yield "kind", f"{known.kind}: may sign for {hosts}"
    if signer.sha256 != known.sha256:
        yield "signer", signer.subject
        yield "SHA-256", signer.sha256
        yield from _dates(signer.not_before, signer.not_after)
        yield "root key", known.root_key or "not here; `aitap ca renew --root FILE` names it"


def _dates(first: datetime, last: datetime) -> Iterator[tuple[str, str]]:
    days = (last - datetime.now(UTC)).days
    yield "not before", f"{first:%Y-%m-%d %H:%M:%S} UTC"
    yield "not after", f"{last:%Y-%m-%d %H:%M:%S} UTC ({f'{days} days left' if days >= 0 else 'expired'})"


@ca.command()
@confdir_option
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write it there instead of beside the CA; - is stdout.",
)
def bundle(*, confdir: Path, output: Path | None) -> None:
    """Write the trust bundle and print its path: the system's roots and the CA in one PEM file.

    It is for clients whose CA setting replaces what they trust; `aitap env` and `aitap exec` use it by themselves.
    """
    authority = ensure_authority(confdir)
    if output is not None and str(output) == "-":
        sys.stdout.buffer.write(bundle_text(authority, system_roots()))
        return
    click.echo(write_bundle(authority, output))
