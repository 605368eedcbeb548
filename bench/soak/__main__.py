"""``python -m bench.soak``: mixed traffic through one real proxy for half an hour. Nothing may grow, all is recorded.

All dialects, streamed and whole, HTTP/1.1, HTTP/2 and WebSockets, errors, breaks, clients that leave, big requests,
hundreds of hosts and new connections all the time (:mod:`bench.soak.mixture`). The first part of the run is the
warm-up, in which what is bounded fills; from then on the memory of neither process may grow by two per cent, and
descriptors and threads not at all. ``--plain`` runs mitmdump without the addon: what it grows by is not ours.

Exit status 1 where something was not as it must be, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aitap.storage.checks import problems as stored_problems
from aitap.storage.database import open_database
from bench import machine, proxies
from bench.proxies import Proxy
from bench.soak import people, provider
from bench.soak.watch import Watch, growth

_MOST = 0.02
_WARM = 0.5
_ATTEMPTS = 300


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.soak", description="Mixed traffic for a long time.")
    parser.add_argument("--exchanges", type=int, default=100_000, help="how many (default 100,000)")
    parser.add_argument("--minutes", type=float, default=30.0, help="in how long (default 30)")
    parser.add_argument("--seed", type=int, default=1, help="of the mixture")
    parser.add_argument("--plain", action="store_true", help="mitmdump without the addon, as a control")
    parser.add_argument("-o", "--output", type=Path, help="where all looks go, as JSON")
    return parser.parse_args()


def _traffic(port: int, chosen: argparse.Namespace) -> tuple[dict[str, int], list[str], float]:
    """Have the people work; what they did, what went wrong, and how many seconds it took."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    begun = time.monotonic()
    worker = context.Process(
        target=people.work, args=(theirs, port, chosen.seed, chosen.exchanges, chosen.minutes * 60), daemon=True
    )
    worker.start()
    theirs.close()
    done: dict[str, int] = {}
    wrong: list[str] = ["the load generator died"]
    told = 0.0
    with contextlib.suppress(EOFError):
        while True:
            done, found, late = ours.recv()
            if isinstance(found, list):
                wrong = found
                break
            if time.monotonic() - told > (1 if sys.stderr.isatty() else 60):
                told = time.monotonic()
                count = sum(done.get(name, 0) for name in ("recorded", "not recorded"))
                print(f"{told - begun:6.0f} s {count:8} done, {found} wrong, {late:.1f} s late", file=sys.stderr)
    worker.join()
    return done, wrong, time.monotonic() - begun


def _stored(database: Path, done: dict[str, int]) -> list[str]:
    """What of the records is not as it must be."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        found = dict(connection.execute("SELECT outcome, count(*) FROM aibridge_interceptions GROUP BY 1").fetchall())
    wrong = []
    if (rows := sum(found.values())) != done.get("recorded"):
        wrong.append(f"{done.get('recorded')} exchanges, {rows} rows")
    print(f"rows: {rows:,} {found}")
    opened = open_database(f"sqlite:///{database}", read_only=True)
    wrong += stored_problems(opened)
    opened.close()
    return wrong


def _judged(watch: Watch, warm: float, plain: bool) -> list[str]:  # noqa: FBT001 - as given
    wrong = []
    print(f"\n{'process':10} {'what':12} {'after warm-up':>14} {'at the end':>12} {'growth':>8}")
    for name, looks in watch.looks.items():
        for what in ("resident", "descriptors", "threads"):
            found = growth(looks, what, warm)
            unit = 2**20 if what == "resident" else 1
            print(
                f"{name:10} {what:12} {found.before / unit:14.1f} {found.after / unit:12.1f} {found.share:8.2%}"
                f"{'  MiB' if unit > 1 else ''}"
            )
            # Descriptors go up and down with the connections of the moment.
            room = _MOST * found.before if what == "resident" else max(2.0, 0.1 * found.before)
            if found.after > found.before + room and not plain:
                wrong.append(f"{what} of the {name} grew by {found.share:.2%}")
    return wrong


def main() -> int:
    chosen = _arguments()
    machine.raise_file_limit()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="aitap-soak-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary)).resolve()
        proxies.authority(folder / "ca")
        ready, far = context.Pipe()
        stack.callback(ready.close)
        serving = context.Process(
            target=provider.serve, args=(far, proxies.certificate(folder / "upstream.pem")), daemon=True
        )
        serving.start()
        far.close()
        port = ready.recv()
        here = Path(__file__).parents[1]
        variant = proxies.Variant("plain", here / "stream.py")
        if not chosen.plain:
            variant = proxies.recording("aitap", here.parent / "addon", folder)
        proxy = stack.enter_context(Proxy(variant, folder, port, None).ready())
        print(f"{chosen.exchanges:,} exchanges in {chosen.minutes:g} minutes, seed {chosen.seed}", flush=True)
        with Watch(proxy.pid) as watch:
            done, wrong, took = _traffic(proxy.port, chosen)
        load = os.getloadavg()[0]
        proxy.stop(60)
        said = [line for line in proxy.output().splitlines() if "aitap" in line or "Traceback" in line]
        print(f"took {took:.0f} s, load average {load:.1f} at the end; {done}")
        wrong += _judged(watch, chosen.minutes * 60 * _WARM, chosen.plain)
        if variant.database is not None:
            wrong += _stored(variant.database, done)
        wrong += [f"the proxy said: {line}" for line in said[:5]]
        if chosen.output:
            looks: dict[str, Any] = {name: [vars(one) for one in found] for name, found in watch.looks.items()}
            chosen.output.write_text(json.dumps(looks), encoding="utf-8")
    for line in wrong[:20]:
        print(f"NOT AS PROMISED: {line}")
    print(f"{len(wrong)} findings" if wrong else "all as promised")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
