"""``aitap run --workers N``: one port, one address for the metrics, and N processes behind them."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import click

from aitap.export.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aitap.observe.registry import Registry
    from aitap.settings import Settings
    from aitap.workers.crew import Crew
    from aitap.workers.reports import Reports

__all__ = ["check_options", "run_workers", "told_options"]

_ALONE = {
    **dict.fromkeys(("-w", "--save-stream-file", "save_stream_file"), "write one file"),
    **dict.fromkeys(("-r", "--rfile", "rfile", "readfile"), "read one file"),
    **dict.fromkeys(("-C", "--client-replay", "client_replay"), "replay requests once"),
}
"""Options of mitmdump's that mean something else where several processes heed them."""


def told_options(options: Sequence[str]) -> dict[str, str]:
    """What ``--set name=value`` says among mitmdump's options."""
    told = {}
    for before, word in zip(("", *options), options, strict=False):
        if before == "--set" or word.startswith("--set="):
            name, _, value = word.removeprefix("--set=").partition("=")
            told[name] = value
    return told


def run_workers(
    count: int, place: tuple[str, int], settings: Settings, arguments: Sequence[str], options: Sequence[str]
) -> int:
    """Serve until told to stop; the exit status. ``arguments`` are ours for mitmdump, ``options`` the user's.

    ``place`` is where to listen: a name or an address, and a port.

    Raises :class:`Failure` where this cannot be had.
    """
    from aitap.workers.crew import Crew, Start
    from aitap.workers.port import Port

    check_options(count, options)
    # What is in the environment nobody else can read; a command line everybody can.
    environ = {**os.environ, "AITAP_DATABASE_URL": settings.database_url}
    start = Start([*arguments, *options, *_last_script()], environ)
    try:
        shared = Port(*place)
        if settings.metrics_listen is None:
            return Crew(count, shared, start, _say).run()
        with _metrics(settings) as (reports, watch):
            crew = Crew(count, shared, start, _say, reports)
            watch(crew)
            return crew.run()
    except OSError as error:
        raise Failure(f"{count} workers cannot be had: {error.strerror or error}") from None


class _Watched:
    """The crew, once there is one: the address of the metrics is opened before, so that what is wrong is told first."""

    def __init__(self) -> None:
        self.crew: Crew | None = None

    def __call__(self, crew: Crew) -> None:
        self.crew = crew

    def count(self, registry: Registry) -> None:
        if self.crew is not None:
            registry.set("workers", {(): self.crew.up})
            registry.set("worker_restarts_total", {(): self.crew.restarts})

    def not_ready(self, reports: Reports) -> str:
        if self.crew is None or not self.crew.up:
            return "no worker is up"
        return reports.trouble()


@contextlib.contextmanager
def _metrics(settings: Settings) -> Iterator[tuple[Reports, _Watched]]:
    from aitap.observe.endpoint import Endpoint
    from aitap.observe.exposition import exposition
    from aitap.observe.metric_table import metrics
    from aitap.workers.reports import Reports

    watched = _Watched()
    reports = Reports(metrics(), watched.count)
    if settings.metrics_listen is None:
        raise ValueError(settings.metrics_listen)
    host, port = settings.metrics_listen
    try:
        endpoint = Endpoint(
            (host, port),
            lambda: exposition(reports.read(), compatible=settings.metrics_compatible),
            lambda: watched.not_ready(reports),
        )
    except OSError as error:
        raise Failure(f"metrics_listen = {host}:{port}: {error.strerror or error}") from None
    _say(f"aitap: metrics at {endpoint.url}/metrics")
    try:
        yield reports, watched
    finally:
        endpoint.close()


def check_options(count: int, options: Sequence[str]) -> None:
    """Raise :class:`Failure` for an option of mitmdump's that several workers cannot share."""
    given: Mapping[str, object] = told_options(options)
    for word in (*options, *given):
        # -wFILE is one word, too.
        name = word[:2] if word[:1] == "-" != word[1:2] else word.partition("=")[0]
        if does := _ALONE.get(name):
            raise Failure(f"{name}: {count} workers cannot {does}; leave it out, or leave out --workers")
    if os.name != "posix":
        raise Failure("--workers needs Linux or macOS")


def _last_script() -> list[str]:
    from pathlib import Path

    import aitap

    return ["-s", str(Path(aitap.__file__).with_name("workers") / "script.py")]


def _say(line: str) -> None:
    # Nobody reads it any more: the workers go on.
    with contextlib.suppress(OSError):
        click.echo(line)
        sys.stdout.flush()
