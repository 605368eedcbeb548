"""``python -m bench.fuzz --count N --seed S``: hostile exchanges through the hooks, the recorder and a database.

With ``--wire`` they go over the network, through a real mitmdump; some 30 times slower.
Each finding is told with its seed and its number; ``--number`` runs that one alone. Exit status 1 where anything was
found, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.connection
import sys
import tempfile
import time
from pathlib import Path

from bench.fuzz.shards import shard
from bench.fuzz.subject import TOLD
from bench.fuzz.wire import attack_wire


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.fuzz", description="Hostile traffic in every dialect.")
    parser.add_argument("--count", type=int, default=100_000, help="how many exchanges (default 100,000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first shard; the next has the next")
    parser.add_argument("--shards", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--number", type=int, help="this exchange alone")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument(
        "--told-of", type=int, default=TOLD, help=f"tell the records of one exchange in so many (default {TOLD})"
    )
    parser.add_argument("--wire", action="store_true", help="over the network, through a real mitmdump")
    return parser.parse_args()


def main() -> int:
    chosen = _arguments()
    context = multiprocessing.get_context("spawn")
    each = -(-chosen.count // chosen.shards)
    numbers = range(chosen.number, chosen.number + 1) if chosen.number is not None else range(each)
    begun = told = time.monotonic()
    if chosen.wire:
        wrong, kept = attack_wire(chosen.seed, numbers)
        for each in wrong:
            print(f"FOUND: seed {chosen.seed} number {each.number}: {each.what}")
        took = time.monotonic() - begun
        print(f"{len(numbers):,} exchanges in {took:.0f} s over the network: {kept:,} records, {len(wrong)} findings")
        return 1 if wrong else 0
    done: dict[int, tuple[int, int, int]] = {}
    found = 0
    with tempfile.TemporaryDirectory(prefix="aitap-fuzz-", ignore_cleanup_errors=True) as folder:
        lines = []
        for seed in range(chosen.seed, chosen.seed + chosen.shards):
            ours, theirs = context.Pipe()
            context.Process(
                target=shard, args=(theirs, seed, numbers, Path(folder), chosen.database, chosen.told_of), daemon=True
            ).start()
            theirs.close()
            lines.append(ours)
        print(f"seeds {chosen.seed} to {chosen.seed + chosen.shards - 1}, {len(numbers):,} exchanges each", flush=True)
        while lines:
            for line in multiprocessing.connection.wait(lines):
                try:
                    seed, count, records, rss, findings = line.recv()  # type: ignore[union-attr]
                except EOFError:
                    lines.remove(line)  # type: ignore[arg-type]
                    continue
                so_far, _, held = done.get(seed, (0, 0, 0))
                done[seed] = (so_far + count, records, rss or held)
                for finding in findings:
                    found += 1
                    print(f"FOUND: seed {seed} number {finding.number}: {finding.what}", flush=True)
            if time.monotonic() - told > (1 if sys.stderr.isatty() else 60):
                told = time.monotonic()
                print(f"{told - begun:6.0f} s  {done}", file=sys.stderr, flush=True)
    exchanges = sum(count for count, _, _ in done.values())
    records = sum(count for _, count, _ in done.values())
    print(
        f"{exchanges:,} exchanges in {time.monotonic() - begun:.0f} s on {chosen.database}: {records:,} records, "
        f"{found} findings; memory at the end {', '.join(f'{rss >> 20} MiB' for *_, rss in done.values())}"
    )
    complete = chosen.number is not None or exchanges == each * chosen.shards
    if not complete:
        print("a shard died")
    return 0 if complete and not found else 1


if __name__ == "__main__":
    sys.exit(main())
