"""``aitap env``: the variables that send a client through the proxy, in the words of a shell."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from aitap.certs.environment import SHELLS, container_arguments, proxy_variables, render
from aitap.export.proxy_options import confdir_option, proxy_option, trust_files

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["env"]


@click.command()
@click.option(
    "--shell",
    type=click.Choice([*SHELLS, "docker"]),
    default="powershell" if sys.platform == "win32" else "sh",
    show_default=True,
    help="In whose words; docker gives arguments for `docker run`.",
)
@proxy_option
@confdir_option
def env(*, shell: str, proxy: str, confdir: Path) -> None:
    r"""Print the proxy and CA variables for clients.

    \b
    sh, bash, zsh   eval "$(aitap env)"
    fish            aitap env --shell fish | source
    PowerShell      aitap env --shell powershell | Out-String | Invoke-Expression
    Docker          docker run $(aitap env --shell docker) IMAGE

    A container reaches the proxy only where it listens on more than loopback: `aitap run --host 0.0.0.0`.
    """
    ca, bundle = trust_files(confdir)
    if shell == "docker":
        click.echo(container_arguments(proxy, ca, bundle), nl=False)
    else:
        click.echo(render(proxy_variables(proxy, ca, bundle), shell), nl=False)
