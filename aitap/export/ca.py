"""``aitap ca show|bundle``: the CA the proxy signs with, and the trust bundle made of it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from aitap.certs.authority import ensure_authority, facts
from aitap.certs.bundle import bundle_path, bundle_text, system_roots, write_bundle
from aitap.export.output import wants_json, write_json
from aitap.export.proxy_options import confdir_option
from aitap.export.query_options import json_option

__all__ = ["ca"]


@click.group()
def ca() -> None:
    """The CA the proxy signs with, and the trust bundle for clients."""


@ca.command()
@confdir_option
@json_option
def show(*, confdir: Path, as_json: bool) -> None:
    """Show the CA: where it is, its SHA-256 fingerprint, how long it is valid.

    It is made now if there is none yet; the proxy then uses it.
    """
    authority = ensure_authority(confdir)
    known = facts(authority)
    if wants_json(asked=as_json):
        write_json(known)
        return
    days = (known.not_after - datetime.now(UTC)).days
    for name, value in (
        ("path", known.path),
        ("subject", known.subject),
        ("SHA-256", known.sha256),
        ("not before", f"{known.not_before:%Y-%m-%d %H:%M:%S} UTC"),
        ("not after", f"{known.not_after:%Y-%m-%d %H:%M:%S} UTC ({f'{days} days left' if days >= 0 else 'expired'})"),
        (
            "bundle",
            f"{bundle_path(authority)}{'' if bundle_path(authority).exists() else ' (made by `aitap ca bundle`)'}",
        ),
    ):
        click.echo(f"{click.style(f'{name:<10}', dim=True)}  {value}")


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
