"""``aitap serve``: the records over HTTP."""

from __future__ import annotations

import importlib.util
import logging
import sys
from typing import TYPE_CHECKING

import click

from aitap.export.failures import Failure
from aitap.export.proxy_options import confdir_option
from aitap.export.store import database_option, in_force, keep_evidence

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from peewee import Database

__all__ = ["serve"]

PORT = 8088


@click.command()
@click.option(
    "-p", "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Port; 0 for a free one."
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on: 0.0.0.0 for any."
)
@confdir_option
@database_option
def serve(*, port: int, host: str, confdir: Path) -> None:
    """Serve the records over HTTP: web pages, and the reference's REST API.

    On 127.0.0.1 programs of this machine need no key (`auth = required` asks them for one too); on any other
    address everybody does. A user sees their own records, an auditor all: `aitap users role NAME auditor`. Stop it
    with Ctrl-C or SIGTERM.
    """
    _check_extra()
    from aitap.access.identity import local_user
    from aitap.server.listening import ListenError, is_local, keys_needed, listen
    from aitap.server.serving import make_server
    from aitap.server.serving import serve as serve_on
    from aitap.storage.homes import shown
    from aitap.storage.users import ensure_user

    settings = in_force()
    try:
        sockets = listen(host, port)
        needed = keys_needed(settings.auth, local=is_local(sockets))
    except ListenError as error:
        raise Failure(str(error)) from None

    def prepare(database: Database) -> None:
        keep_evidence(database, settings, confdir)
        if not needed:
            # Who needs no key stands in the audit by name all the same.
            ensure_user(database, *local_user())

    server = make_server(settings.database_url, keys_needed=needed, confdir=confdir, prepare=prepare)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)

    def announce() -> None:
        address, everywhere = _address(sockets[0])
        click.echo(f"listens on  {address}{', and every other address of this machine' if everywhere else ''}")
        click.echo(f"records     {shown(settings.database_url)}")
        if needed:
            click.echo("who may     whoever has a key: aitap keys create --user NAME --create-user")
        else:
            click.echo("who may     everyone on this machine, without a key; AITAP_AUTH=required asks for one")
        key = "-H 'Coder-Session-Token: KEY' " if needed else ""
        click.echo(f"try         curl {key}'{address}/api/v2/ai-gateway/sessions?limit=5'")
        sys.stdout.flush()

    serve_on(server, sockets, announce)


def _address(bound: socket.socket) -> tuple[str, bool]:
    """Where this machine reaches it, and whether it is at every other address of the machine as well."""
    host, port = bound.getsockname()[:2]
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}", here != host


def _check_extra() -> None:
    if not all(importlib.util.find_spec(name) for name in ("jinja2", "starlette", "uvicorn")):
        raise Failure("serving needs three more packages: pip install 'aitap[server]'")
