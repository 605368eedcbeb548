"""``aitap env``: the variables that send a client through the proxy, in the words of a shell."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from aitap.certs.environment import SHELLS, container_arguments, proxy_variables, render
from aitap.export.proxy_options import (
    ca_option,
    confdir_option,
    key_file_option,
    proxy_option,
    trust_files,
    with_key,
)

if TYPE_CHECKING:
    from pathlib import Path

    from aitap.certs.clients import ClientNotes
    from aitap.certs.proxy_address import ProxyAddress

__all__ = ["env"]


def _client(_: click.Context, __: click.Parameter, value: str | None) -> ClientNotes | None:
    if value is None:
        return None
    from aitap.certs.clients import find

    try:
        return find(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option(
    "--shell",
    type=click.Choice([*SHELLS, "docker"]),
    default="powershell" if sys.platform == "win32" else "sh",
    show_default=True,
    help="In whose words; docker gives arguments for `docker run`.",
)
@click.option(
    "--client",
    metavar="NAME",
    callback=_client,
    help="Also say, on stderr, what this client needs and where it trips: claude, codex, code, ...",
)
@proxy_option
@key_file_option
@ca_option
@confdir_option
def env(
    *,
    shell: str,
    client: ClientNotes | None,
    proxy: ProxyAddress,
    key_file: Path | None,
    ca: Path | None,
    confdir: Path,
) -> None:
    """Print the proxy and CA variables for clients.

    \b
    sh, bash, zsh   eval "$(aitap env)"
    fish            aitap env --shell fish | source
    PowerShell      aitap env --shell powershell | Out-String | Invoke-Expression
    Docker          docker run $(aitap env --shell docker) IMAGE
    with a key      eval "$(aitap env --proxy http://proxy.example:8080 --key-file ~/proxy.key)"

    A container reaches the proxy only where it listens on more than loopback: `aitap run --host 0.0.0.0`.
    The CA of a proxy on another machine is fetched once, with `aitap ca fetch`.
    """  # noqa: D301 - click wants the character itself
    proxy = with_key(proxy, key_file)
    certificate, bundle = trust_files(proxy, confdir, ca)
    if shell == "docker":
        click.echo(container_arguments(proxy.url, certificate, bundle), nl=False)
    else:
        direct = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
        click.echo(render(proxy_variables(proxy.url, certificate, bundle, direct), shell), nl=False)
    if client is not None:
        click.echo(_told(client), nl=False, err=True)


def _told(client: ClientNotes) -> str:
    lines = [f"{client.title}: {_heeds(client)}"]
    lines += [f"  do: {client.set_up}"] if client.set_up else []
    lines += [f"  {trap}" for trap in client.traps]
    return "".join(line + "\n" for line in lines)


def _heeds(client: ClientNotes) -> str:
    if not client.proxy:
        return "heeds no variables"
    trusts = [*client.ca, *(["the system's store"] if client.store else [])]
    return f"heeds {' or '.join(client.proxy)}, trusts {' or '.join(trusts)}"
