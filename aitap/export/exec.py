"""``aitap exec``: one command whose traffic goes through the proxy, and nothing else's."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aitap.certs.environment import proxy_variables
from aitap.export.failures import Failure
from aitap.export.proxy_options import (
    ca_option,
    confdir_option,
    key_file_option,
    proxy_option,
    trust_files,
    with_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.certs.proxy_address import ProxyAddress

__all__ = ["exec_command"]

# What env(1), nice(1) and the shells answer.
_NOT_FOUND = 127
_NOT_RUNNABLE = 126

_ANSWER_SECONDS = 3.0


@click.command("exec", context_settings={"allow_interspersed_args": False})
@proxy_option
@key_file_option
@ca_option
@confdir_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_context
def exec_command(
    ctx: click.Context,
    *,
    proxy: ProxyAddress,
    key_file: Path | None,
    ca: Path | None,
    confdir: Path,
    command: tuple[str, ...],
) -> None:
    """Run one command through the proxy.

    Proxy and CA variables are set for COMMAND and what it starts, for nothing else; no shell is between.
    Exits with its exit code, or with 128 and the number of the signal that ended it.
    """
    proxy = with_key(proxy, key_file)
    _check_answers(proxy)
    certificate, bundle = trust_files(proxy, confdir, ca)
    direct = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    environment = os.environ | proxy_variables(proxy.url, certificate, bundle, direct)
    program = shutil.which(command[0])
    if program is None:
        if "/" in command[0] and Path(command[0]).exists():
            raise Failure(f"{command[0]}: not an executable file", _NOT_RUNNABLE)
        raise Failure(f"{command[0]}: command not found", _NOT_FOUND)
    try:
        ctx.exit(_run([program, *command[1:]], command[0], environment))
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror or error}", _NOT_RUNNABLE) from None


def _check_answers(proxy: ProxyAddress) -> None:
    """Ask the proxy for its own page: who comes and goes without a word is an error in mitmproxy's log.

    Raises ``Failure`` where nobody listens, and where the key is not taken. Anybody else may be a proxy.
    """
    connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=_ANSWER_SECONDS)
    try:
        connection.connect()
    except OSError:
        raise Failure(
            f"no proxy answers at {proxy.place}: start it with `aitap run`, or say where it is with --proxy"
        ) from None
    try:
        connection.request(
            "GET", "/", headers={"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
        )
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return
    finally:
        connection.close()
    if status == http.client.PROXY_AUTHENTICATION_REQUIRED:
        wants = "refuses this key" if proxy.password else "wants a key"
        raise Failure(f"the proxy at {proxy.place} {wants}: give one with --key-file (`aitap keys create --user NAME`)")


def _run(arguments: list[str], name: str, environment: dict[str, str]) -> int:
    # argv[0] stays as it was typed: some programs go by it.
    on_windows = sys.platform == "win32"
    child = subprocess.Popen(  # noqa: S603
        arguments if on_windows else [name, *arguments[1:]],
        executable=None if on_windows else arguments[0],
        env=environment,
    )
    with _passed_on(child):
        status = child.wait()
    return 128 - status if status < 0 else status


@contextlib.contextmanager
def _passed_on(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Signals to us are the child's: it decides what they mean, we wait for its exit code."""

    def forward(number: int, _: Any) -> None:
        with contextlib.suppress(OSError):
            child.send_signal(number)

    def interrupt(number: int, frame: Any) -> None:
        # A terminal interrupts the child by itself; a second time would make many agents quit.
        if not sys.stdin.isatty():
            forward(number, frame)

    wanted: dict[int, Any] = {signal.SIGINT: interrupt}
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"):
        if (number := getattr(signal, name, None)) is not None:
            wanted[number] = interrupt if name == "SIGQUIT" else forward
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
