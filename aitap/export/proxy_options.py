"""Where the proxy is and which CA it signs with: the options of every command that sets a client up.

The proxy key can come with the address, from ``AITAP_PROXY``, from a file or from the keyboard: what stands
on a command line is seen by everybody who may list processes.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aitap.certs.authority import DEFAULT_CONFDIR, AuthorityError, ensure_authority
from aitap.certs.bundle import write_bundle
from aitap.certs.proxy_address import parse
from aitap.export.failures import Failure

if TYPE_CHECKING:
    from aitap.certs.authority import Authority
    from aitap.certs.proxy_address import ProxyAddress

__all__ = [
    "DEFAULT_PROXY",
    "ca_option",
    "confdir_option",
    "key_file_option",
    "proxy_argument",
    "proxy_option",
    "trust_files",
    "with_key",
]

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_PROXY = "http://127.0.0.1:8080"


def _address(_: click.Context, __: click.Parameter, value: str | None) -> ProxyAddress | None:
    try:
        return None if value is None else parse(value)
    except ValueError as error:
        # The value is not repeated: it may hold a key.
        raise click.BadParameter(str(error)) from None


def proxy_option(command: Command) -> Command:
    """``--proxy``, as a :class:`~aitap.certs.proxy_address.ProxyAddress`."""
    return click.option(
        "--proxy",
        metavar="URL",
        envvar="AITAP_PROXY",
        default=DEFAULT_PROXY,
        callback=_address,
        help=f"Where the proxy listens, with USER:KEY@ where it wants a key; else AITAP_PROXY, else {DEFAULT_PROXY}.",
    )(command)


def proxy_argument(command: Command) -> Command:
    """``URL``: the same as an argument, for a command that is about one proxy."""
    return click.argument("proxy", metavar="URL", envvar="AITAP_PROXY", callback=_address)(command)


def key_file_option(command: Command) -> Command:
    """``--key-file``: the proxy key, kept out of the process list; see :func:`with_key`."""
    return click.option(
        "--key-file",
        metavar="FILE",
        type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
        help="Read the proxy key from this file; - reads it from stdin, or asks for it on a terminal.",
    )(command)


def ca_option(command: Command) -> Command:
    """``--ca``: the certificate of a proxy whose key is elsewhere."""
    return click.option(
        "--ca",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The proxy's CA certificate, where it is not this machine's own.",
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


def with_key(proxy: ProxyAddress, key_file: Path | None) -> ProxyAddress:
    """The address with the key of ``--key-file``, where one was given. Raises ``Failure`` where there is none in it."""
    if key_file is None:
        return proxy
    if str(key_file) == "-":
        key = getpass.getpass("Proxy key: ") if sys.stdin.isatty() else sys.stdin.readline()
    else:
        try:
            key = key_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"--key-file {key_file}: {getattr(error, 'strerror', None) or 'not a text file'}") from None
    key = key.strip()
    if not key or any(char.isspace() or not char.isprintable() for char in key):
        raise Failure(f"--key-file {key_file}: write the proxy key into it and nothing else")
    return proxy.with_key(key)


def trust_files(proxy: ProxyAddress, confdir: Path, ca: Path | None = None) -> tuple[str, str]:
    """Paths of the CA certificate that ``proxy`` signs with and of the bundle made of it.

    For a proxy on this machine the CA is made where it is missing. That of another machine's proxy is the file
    ``ca``, or was fetched; a CA made here would be one that nobody signs with. Raises ``AuthorityError``, ``Failure``.
    """
    authority = _authority(proxy, confdir, ca)
    try:
        bundle = write_bundle(authority)
    except AuthorityError:
        # A certificate in a folder of the system's: the bundle goes where the user may write.
        from aitap.certs.fetched import fetched_path

        path = fetched_path(proxy).with_name("aitap-ca-bundle.pem")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        bundle = write_bundle(authority, path)
    return str(authority.path), str(bundle)


def _authority(proxy: ProxyAddress, confdir: Path, ca: Path | None) -> Authority:
    from aitap.certs.fetched import certificate_file, fetched_path, signs_elsewhere

    if ca is None and (confdir != DEFAULT_CONFDIR or (proxy.on_loopback and not signs_elsewhere(proxy))):
        return ensure_authority(confdir)

    if ca is not None:
        return certificate_file(ca)
    if (fetched := fetched_path(proxy)).exists():
        return certificate_file(fetched)
    if proxy.here():
        return ensure_authority(confdir)
    raise Failure(
        f"no CA of {proxy.place} is here: `aitap ca fetch http://{proxy.place}` fetches it, or name its file with --ca"
    )
