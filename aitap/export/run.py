"""``aitap run``: mitmdump with the recorder and its options filled in."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from pathlib import Path

import click

from aitap.export.failures import Failure
from aitap.export.proxy_options import confdir_option
from aitap.export.store import database_option, in_force

__all__ = ["run"]


_BEHIND = "aitap.mitmdump_options"

_OURS = {"--listen-port": "--port", "-p": "--port", "--listen-host": "--host"}
"""Options of mitmdump's that are ours: what we say of the place would not be true."""

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
"""What stands for all addresses, and that of these which this machine has for itself."""


class _Wrapper(click.Command):
    """A command that leaves all behind ``--`` alone."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta[_BEHIND] = args[cut + 1 :]
        return super().parse_args(ctx, args[:cut])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- MITMDUMP OPTIONS...]"]


@click.command(cls=_Wrapper)
@click.option("-p", "--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port to listen on.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on: 0.0.0.0 for any."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many processes serve the port: one for each core, say.",
)
@confdir_option
@database_option
@click.pass_context
def run(ctx: click.Context, *, port: int, host: str, workers: int, confdir: Path) -> None:
    """Start the recording proxy.

    Runs until it is stopped with Ctrl-C or SIGTERM; what it recorded is then in the database. All that
    stands after -- goes to mitmdump, such as `--set aitap_retention=30d` or `--flow-detail 1`.
    """
    from aitap.certs.authority import ensure_authority
    from aitap.certs.bundle import write_bundle
    from aitap.storage.database import AwayError, open_database
    from aitap.storage.homes import shown

    options = ctx.meta[_BEHIND]
    if theirs := next((name for name in (word.partition("=")[0] for word in options) if name in _OURS), None):
        raise click.UsageError(f"{theirs}: say {_OURS[theirs]}, and say it before --", ctx)
    settings = in_force(_settings_in(options))
    database_url = settings.database_url
    authority = ensure_authority(confdir)
    bundle = write_bundle(authority)
    _check_free(host, port)
    # Opened here once, so that a database that cannot be used is one line now and not a proxy that records nothing.
    away = ""
    try:
        open_database(database_url, migrate=True).close()
    except AwayError as error:
        if not settings.spool_limit:
            raise
        away = f": AWAY, records wait in {settings.spool} ({error})"
    address = f"http://{_authority_form(host)}:{port}"
    click.echo(f"listens on  {address}{', and every other address of this machine' if host in _ANY else ''}")
    click.echo(f"CA          {authority.path}")
    click.echo(f"bundle      {bundle}")
    click.echo(f"records     {shown(database_url)}{away}")
    if workers > 1:
        click.echo(f"workers     {workers} processes share the port")
    if not settings.upstream and (other := _company_proxy()):
        click.echo(f"goes out    straight, past {other} in HTTPS_PROXY: AITAP_UPSTREAM=$HTTPS_PROXY takes that way")
    needs_key = _needs_key(settings.auth, "" if settings.proxy_protocol else host)
    _invite(address, needs_key=needs_key, default=host == "127.0.0.1" and port == 8080)
    sys.stdout.flush()
    arguments = _arguments(host, port, confdir, None if workers > 1 else database_url, options)
    if workers > 1:
        from aitap.export.run_workers import run_workers

        ctx.exit(run_workers(workers, (host, port), settings, arguments, options))
    _mitmdump(arguments, options)


def _needs_key(auth: str, host: str) -> bool:
    from aitap.access.gate.listeners import is_loopback

    return auth == "required" or (auth == "auto" and not is_loopback(host))


def _invite(address: str, *, needs_key: bool, default: bool) -> None:
    """What to type next."""
    # `make run` starts us in an environment that the next terminal has not activated.
    aitap = sys.argv[0] if Path(sys.argv[0]).name == "aitap" and shutil.which("aitap") is None else "aitap"
    if needs_key:
        click.echo(f"who may     whoever has a key: {aitap} keys create --user NAME --create-user")
        click.echo(f"try         {aitap} exec --proxy {address.replace('//', '//NAME:KEY@')} -- claude")
    else:
        click.echo("who may     everyone on this machine, without a key; all is recorded as yours")
        click.echo(f"try         {aitap} exec {'' if default else f'--proxy {address} '}-- claude")


def _company_proxy() -> str | None:
    """The proxy on another machine that the programs of this shell are to take; one on this may be ours."""
    from aitap.certs.proxy_address import parse

    for name in ("HTTPS_PROXY", "https_proxy"):
        with contextlib.suppress(ValueError):
            address = parse(os.environ.get(name, ""))
            return None if address.on_loopback else address.place
    return None


def _authority_form(host: str) -> str:
    shown = _ANY.get(host, host)
    return f"[{shown}]" if ":" in shown else shown


def _settings_in(options: list[str]) -> dict[str, str]:
    """Settings among mitmdump's options: they are in force before all others."""
    from aitap.export.run_workers import told_options

    told = told_options(options)
    return {name[len("aitap_") :]: value for name, value in told.items() if name.startswith("aitap_")}


def _arguments(host: str, port: int, confdir: Path, database_url: str | None, options: list[str]) -> list[str]:
    """Ours for mitmdump; without a URL that is told otherwise."""
    import aitap

    script = Path(aitap.__file__).with_name("capture") / "script.py"
    # Flows are not printed: `aitap tail` shows what counts.
    chosen = {
        "confdir": str(confdir.expanduser().absolute()),
        "flow_detail": "0",
        # Connect when a request is there: a provider that cannot be reached is then an answer, and a record.
        "connection_strategy": "lazy",
        **({} if database_url is None else {"aitap_database_url": database_url}),
    }
    # What the user sets behind -- wins; mitmproxy refuses to be told twice.
    theirs = {word.removeprefix("--set=").partition("=")[0] for word in options}
    settings = [word for name, value in chosen.items() if name not in theirs for word in ("--set", f"{name}={value}")]
    return ["-s", str(script), "--listen-host", host, "--listen-port", str(port), *settings]


def _mitmdump(arguments: list[str], options: list[str]) -> None:
    from mitmproxy.tools.main import mitmdump

    from aitap.observe.proxy_lines import tell_what_matters

    tell_what_matters(options)
    # mitmproxy names the program in its own messages by this.
    sys.argv = ["mitmdump", *options]
    mitmdump([*arguments, *options])


def _check_free(host: str, port: int) -> None:
    """Raises ``Failure`` where nobody could listen at this address."""
    try:
        places = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Failure(f"--host {host!r}: {error.strerror or error}") from None
    for family, kind, protocol, _, address in places:
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":
                # As asyncio does: connections that linger from the last run do not count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
                probe.listen(1)
            except OSError as error:
                raise Failure(
                    f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --port"
                ) from None
