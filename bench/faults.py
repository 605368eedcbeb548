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

from tests.proxy.faults import FAULTS, NEED_ROOT, Laboratory, Outcome
from tests.proxy.places import Disk, PostgresPlace, SqlitePlace, tmpfs
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
    totals: dict[str, Counter[str]] = {fault: Counter() for fault in faults}
    failed: list[Outcome] = []
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="aitap-faults-", ignore_cleanup_errors=True))
        )
        for name in ("confdir", "work"):
            (folder / name).mkdir()
        CertStore.create_store(folder / "confdir", "mitmproxy", 2048)
        small = [stack.enter_context(tmpfs(folder / name, size)) for name, size in (("db", "320m"), ("small", "8m"))]
        if not all(small):
            print("no small disks can be mounted here: faults of disks are left out", file=sys.stderr)
            faults = [fault for fault in faults if fault not in NEED_ROOT]
        upstream = Upstream(folder)
        stack.callback(upstream.close)
        place: SqlitePlace | PostgresPlace = SqlitePlace(folder / "db")
        if chosen.database == "postgresql":
            (folder / "db" / "pg").mkdir()
            place = PostgresPlace(folder / "db" / "pg")
            stack.callback(place.close)
            # A disk that somebody writes to cannot be made to take no writes.
            faults = [fault for fault in faults if fault != "readonly"]
        spool = folder / "small" / "spool"
        disks = (Disk(folder / "db"), Disk(folder / "small"))
        laboratory = Laboratory(folder / "work", folder / "confdir", upstream, place, spool, chosen.seed, disks)
        stack.callback(laboratory.close)
        print(f"{chosen.rounds} rounds on {chosen.database}, seed {chosen.seed}", flush=True)
        for number, fault in zip(range(1, chosen.rounds + 1), itertools.cycle(faults), strict=False):
            outcome = laboratory.round(fault, chosen.seconds)
            total = totals[fault]
            for name in ("finished", "recorded", "lost", "broken"):
                total[name] += getattr(outcome, name)
            total["rounds"] += 1
            total["wrong"] += bool(outcome.problems)
            if outcome.problems:
                failed.append(outcome)
            print(
                f"{number:5} {fault:18} {outcome.finished:5} finished {outcome.recorded:5} recorded "
                f"{outcome.lost:4} counted as lost  {'; '.join(outcome.problems)}",
                flush=True,
            )
    names = ("rounds", "exchanges", "recorded", "not", "counted", "cut off", "wrong")
    print(f"\n{'fault':20}" + "".join(f"{name:>10}" for name in names))
    every: Counter[str] = sum(totals.values(), Counter())
    for fault, total in [*totals.items(), ("all", every)]:
        if total["rounds"]:
            missing = total["finished"] - total["recorded"]
            values = (total["rounds"], total["finished"], total["recorded"], missing)
            values = (*values, total["lost"], total["broken"], total["wrong"])
            print(f"{fault:20}" + "".join(f"{value:10,}" for value in values))
    print(f"{time.monotonic() - begun:.0f} s; {len(failed)} rounds not as promised")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
