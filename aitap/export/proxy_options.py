"""Where the proxy is and which CA it signs with: the options of every command that sets a client up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from aitap.certs.authority import DEFAULT_CONFDIR, ensure_authority
from aitap.certs.bundle import write_bundle

__all__ = ["DEFAULT_PROXY", "confdir_option", "proxy_option", "trust_files"]

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_PROXY = "http://127.0.0.1:8080"


def _proxy_url(_: click.Context, __: click.Parameter, value: str) -> str:
    url = value if "://" in value else f"http://{value}"
    try:
        address = urlsplit(url)
        valid = address.scheme in {"http", "https"} and address.hostname and address.port
    except ValueError:
        valid = None
    if not valid:
        raise click.BadParameter(f"{value!r} is no proxy address: write http://HOST:PORT")
    return url.rstrip("/")


def proxy_option(command: Command) -> Command:
    """``--proxy``, checked: an URL with host and port."""
    return click.option(
        "--proxy",
        metavar="URL",
        default=DEFAULT_PROXY,
        show_default=True,
        callback=_proxy_url,
        help="Where the proxy listens.",
    )(command)


def confdir_option(command: Command) -> Command:
    """``--confdir``: the folder mitmproxy keeps its CA in."""
    return click.option(
        "--confdir",
        metavar="FOLDER",
        type=click.Path(file_okay=False, path_type=Path),
        default=DEFAULT_CONFDIR,
        show_default=True,
        help="mitmproxy's configuration folder, where the CA is.",
    )(command)


def trust_files(confdir: Path) -> tuple[str, str]:
    """Paths of the CA and of the bundle, both made where they are missing. Raises ``AuthorityError``."""
    authority = ensure_authority(confdir)
    return str(authority.path), str(write_bundle(authority))
