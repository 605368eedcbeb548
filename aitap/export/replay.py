"""``aitap db replay``: store what dead proxies left in their spools, without waiting for the next proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aitap.export.failures import Failure
from aitap.export.human import size
from aitap.export.progress import progress_bar
from aitap.export.store import database_option, in_force, opened
from aitap.storage.spool.folders import left_behind, left_elsewhere, make_folder

if TYPE_CHECKING:
    from aitap.storage.spool.segments import Spool
    from aitap.storage.writer import Writer

__all__ = ["replay"]

_LOOK = 0.05


@click.command()
@database_option
def replay() -> None:
    """Store the records that wait in spools of proxies that run no more.

    The next `aitap run` does the same by itself. What is in the database already is not stored twice. Spools of
    proxies that run are theirs.
    """
    from aitap.prices.pricing import Prices
    from aitap.storage.spool.own import take_over
    from aitap.storage.spool.segments import Spool
    from aitap.storage.writer import Writer

    settings = in_force()
    url = settings.database_url
    found = left_behind(settings.spool, url)
    total = sum(left.bytes for left in found if not left.live)
    for left in found:
        if left.live:
            click.echo(f"{left.folder}: {size(left.bytes)} of a proxy that runs, and stores them itself", err=True)
    for other in left_elsewhere(settings.spool, url):
        whose = other.database or "another database"
        click.echo(f"{other.place}: {size(other.bytes)} for {whose}, not for this one", err=True)
    if not total:
        click.echo("nothing to replay")
        return
    with opened(read_only=False) as database:
        folder = make_folder(settings.spool, url)
        # It has nothing to keep: records come from the others alone.
        spool = Spool(folder, limit=0, sync=False)
        writer = Writer(
            database,
            flush_interval=0.0,
            prices=Prices(settings.prices),
            spool=spool,
            adopting=lambda: take_over(settings.spool, url, spool.adopt),
        )
        writer.start()
        try:
            _wait(writer, spool, total)
        finally:
            writer.close()
            if not folder.segments():
                folder.remove()
    click.echo(f"{writer.stats.adopted} records replayed")
    if writer.stats.lost:
        raise Failure(f"{writer.stats.lost} records could not be read or stored, or were lost before: see above")


def _wait(writer: Writer, spool: Spool, total: int) -> None:
    with progress_bar("replaying", total=total, of_bytes=True) as bar:
        while not writer.flush(_LOOK):
            if writer.trouble:
                raise Failure(f"{writer.trouble}; what is not stored yet stays in the spool")
            if not spool.empty:
                bar.reached(total - spool.size)
        bar.reached(total)
