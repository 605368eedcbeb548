"""``python -m bench.pages --url URL``: how long pages take over HTTP, from request to last byte, rendering included.

Takes a database that ``bench.fill`` has filled; a server is started for it here, without keys, in a process of its
own. Each page is asked a few times in turns.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from bench import machine
from bench.fill import END
from bench.places import located
from bench.traffic import DAY, MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

__all__ = ["PAGES", "measure"]


def _day(before: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(END - before * DAY))


PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "overview of a month": ("/", {}),
    "overview of a year": ("/", {"days": "365"}),
    "overview of a year, one model": ("/", {"days": "365", "model": MODELS[0].name}),
    "overview of all time": ("/", {"days": "all"}),
    "sessions": ("/sessions", {}),
    "sessions of one model": ("/sessions", {"model": MODELS[0].name}),
    "sessions of a rare model": ("/sessions", {"model": MODELS[13].name}),
    "sessions of one client": ("/sessions", {"client": "Codex"}),
    "sessions of one user": ("/sessions", {"initiator": "user003"}),
    "sessions of one user and client": ("/sessions", {"initiator": "user040", "client": "Claude Code"}),
    "sessions since a week ago": ("/sessions", {"started_after": f"{_day(7)}T00:00:00Z"}),
    "sessions until half a year ago": ("/sessions", {"started_before": f"{_day(180)}T00:00:00Z"}),
    "sessions by cost": ("/sessions", {"sort": "cost"}),
    "API: sessions, with their count": ("/api/v2/ai-gateway/sessions", {"limit": "100"}),
    "API: sessions of one model": ("/api/v2/ai-gateway/sessions", {"limit": "100", "q": f"model:{MODELS[0].name}"}),
    "API: interceptions of one model": (
        "/api/v2/ai-gateway/interceptions",
        {"limit": "100", "q": f"model:{MODELS[0].name}"},
    ),
    "API: usage of a year by day and model": (
        "/api/v2/ai-gateway/usage",
        {"by": "day,model", "started_after": f"{_day(365)}T00:00:00Z", "started_before": f"{_day(0)}T00:00:00Z"},
    ),
}
"""What is asked, by what it is called."""


def _run(url: str, confdir: str, told: Connection) -> None:
    from aitap.server.listening import listen  # noqa: PLC0415 - in the server's process alone
    from aitap.server.serving import make_server, serve  # noqa: PLC0415

    sockets = listen("127.0.0.1", 0)
    server = make_server(url, keys_needed=False, confdir=Path(confdir))
    serve(server, sockets, lambda: told.send(sockets[0].getsockname()[1]))


@contextlib.contextmanager
def _server(url: str) -> Iterator[tuple[int, int]]:
    """Its port and its process."""
    mine, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as confdir:
        process = multiprocessing.get_context("spawn").Process(target=_run, args=(url, confdir, theirs))
        process.start()
        try:
            yield mine.recv(), process.pid or 0
        finally:
            process.terminate()
            process.join()


def _cpu_seconds(pid: int) -> float:
    """What a process has used; nothing where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(url: str, rounds: int) -> list[dict[str, Any]]:
    """For each page the median and the quickest time in milliseconds, and the server's CPU time for one."""
    times: dict[str, list[float]] = {name: [] for name in PAGES}
    used: dict[str, float] = dict.fromkeys(PAGES, 0.0)
    sizes: dict[str, int] = {}
    with _server(url) as (port, pid):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for round_ in range(rounds + 1):
            for name, (path, query) in PAGES.items():
                begun, cpu = time.perf_counter(), _cpu_seconds(pid)
                connection.request("GET", path + (f"?{urlencode(query)}" if query else ""))
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise SystemExit(f"bench: {name} answers {answer.status}: {body[:300]!r}")
                if round_:
                    times[name].append(1000 * (time.perf_counter() - begun))
                    used[name] += _cpu_seconds(pid) - cpu
                sizes[name] = len(body)
        connection.close()
    return [
        {
            "page": name,
            "median_ms": round(statistics.median(taken), 1),
            "quickest_ms": round(min(taken), 1),
            # The system counts in hundredths of a second: only many rounds tell.
            "cpu_ms": round(1000 * used[name] / rounds, 1),
            "bytes": sizes[name],
        }
        for name, taken in times.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.pages", description=__doc__.partition("\n")[0])
    parser.add_argument("--url", required=True, help="sqlite:////file.db, postgresql://..., or postgres:///folder")
    parser.add_argument("--rounds", type=int, default=10, help="how often each is asked, but for the first time")
    parser.add_argument("-o", "--output", type=Path, help="where JSON goes")
    arguments = parser.parse_args()
    with located(arguments.url) as url:
        found = measure(url, max(1, arguments.rounds))
    about = machine.describe()
    print(f"{about['cpus']} CPUs ({about['processor']}), load average {about['load_average']}\n")
    print(f"{'page':40}{'median ms':>11}{'quickest':>11}{'CPU ms':>9}{'bytes':>10}")
    for row in found:
        print(
            f"{row['page']:40}{row['median_ms']:>11.1f}{row['quickest_ms']:>11.1f}{row['cpu_ms']:>9.1f}{row['bytes']:>10}"
        )
    if arguments.output:
        arguments.output.write_text(json.dumps({"machine": about, "pages": found}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
