"""``python -m bench.faults --rounds N``: hurt proxy, recorder, database and spool at random moments under load.

What is hurt and what must hold all the same is told in :mod:`tests.proxy.faults`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from mitmproxy.certs import CertStore

from tests.proxy.faults import FAULTS, Laboratory, Outcome, PostgresPlace, SqlitePlace, tmpfs
from tests.proxy.upstream import Upstream

__all__ = ["main"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.faults", description="Rounds of faults with real processes.")
    parser.add_argument("--rounds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--only", metavar="FAULTS", help=f"comma-separated: {', '.join(FAULTS)} (default all)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random moments")
    parser.add_argument("--seconds", type=float, default=1.5, help="of traffic in a round (default 1.5)")
    return parser.parse_args()


def main() -> int:
    """Run the rounds; status 1 where something was not as promised."""
    chosen = _arguments()
    faults = chosen.only.split(",") if chosen.only else list(FAULTS)
    totals: Counter[str] = Counter()
    failed: list[Outcome] = []
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="aitap-faults-", ignore_cleanup_errors=True))
        )
        for name in ("confdir", "work", "pg"):
            (folder / name).mkdir()
        CertStore.create_store(folder / "confdir", "mitmproxy", 2048)
        small = stack.enter_context(tmpfs(folder / "small", "8m"))
        if not small and "room" in faults:
            print("no small disk can be mounted here: the fault `room` is left out", file=sys.stderr)
            faults.remove("room")
        upstream = Upstream(folder)
        stack.callback(upstream.close)
        place: SqlitePlace | PostgresPlace = SqlitePlace(folder / "work")
        if chosen.database == "postgresql":
            place = PostgresPlace(folder / "pg")
            stack.callback(place.close)
        spool = folder / "small" / "spool"
        laboratory = Laboratory(folder / "work", folder / "confdir", upstream, place, spool, chosen.seed)
        stack.callback(laboratory.close)
        print(f"{chosen.rounds} rounds on {chosen.database}, seed {chosen.seed}", flush=True)
        for number, fault in zip(range(1, chosen.rounds + 1), itertools.cycle(faults), strict=False):
            outcome = laboratory.round(fault, chosen.seconds)
            for name in ("finished", "recorded", "lost", "broken"):
                totals[name] += getattr(outcome, name)
            if outcome.problems:
                failed.append(outcome)
            print(
                f"{number:5} {fault:18} {outcome.finished:5} finished {outcome.recorded:5} recorded "
                f"{outcome.lost:4} counted as lost  {'; '.join(outcome.problems)}",
                flush=True,
            )
    print(
        f"{chosen.rounds} rounds in {time.monotonic() - begun:.0f} s: {totals['finished']} exchanges finished, "
        f"{totals['recorded']} recorded, {totals['finished'] - totals['recorded']} not, {totals['lost']} counted as "
        f"lost; {totals['broken']} clients of killed proxies; {len(failed)} rounds not as promised"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
