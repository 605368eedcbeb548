"""``python -m bench.export --url URL``: how fast records are exported, in each format, and in how much memory.

Takes a database that ``bench.fill`` has filled. Each export is the command itself, in a process of its own, into
a file; what is told is the whole command, its start included. Rows a second of CPU is what a quiet core would do; MB
a second are those before compression. That memory does not grow with the number of rows is seen by exporting two
databases of different sizes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import zstandard

from aitap.storage.database import open_database, rows_of
from bench import machine
from bench.places import located

__all__ = ["measure"]

ENDINGS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")


def measure(url: str, what: str, ending: str, rows: int, folder: Path) -> dict[str, Any]:
    """One export: rows a second by the clock and by CPU, the peak of memory (MiB) and the size of the file (MB)."""
    path = folder / f"all.{ending}"
    begun = time.perf_counter()
    command = [sys.executable, "-m", "aitap", "export", what, "--database-url", url, "-o", str(path)]
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    took, cpu = time.perf_counter() - begun, used.ru_utime + used.ru_stime
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench: the export of {what} as {ending} failed")
    size = path.stat().st_size
    written = _unpacked(path)
    path.unlink()
    return {
        "what": what,
        "format": ending,
        "rows": rows,
        "seconds": round(took, 2),
        "rows_a_second": round(rows / took),
        "rows_a_cpu_second": round(rows / cpu),
        "mb_a_second": round(written / 1e6 / took, 1),
        "peak_mib": round(used.ru_maxrss / 1024),
        "file_mb": round(size / 1e6, 1),
    }


def _unpacked(path: Path) -> int:
    """How many bytes were written, before they were compressed if they were."""
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            return sum(map(len, iter(lambda: file.read(1 << 20), b"")))
    if path.suffix == ".zst":
        with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as file:
            return sum(map(len, iter(lambda: file.read(1 << 20), b"")))
    return path.stat().st_size


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.export", description=__doc__.partition("\n")[0])
    parser.add_argument("--url", required=True, help="sqlite:////file.db, postgresql://..., or postgres:///folder")
    parser.add_argument("--formats", default=",".join(ENDINGS), help="endings of files, with commas")
    parser.add_argument("-o", "--output", type=Path, help="where JSON goes")
    arguments = parser.parse_args()
    found = []
    with located(arguments.url) as url, tempfile.TemporaryDirectory() as folder:
        database = open_database(url, read_only=True)
        tables = {"interceptions": "aibridge_interceptions", "sessions": "aitap_sessions"}
        counts = {what: int(rows_of(database, f"SELECT count(*) FROM {name}")[0][0]) for what, name in tables.items()}
        database.close()
        about = machine.describe()
        print(f"{about['cpus']} CPUs ({about['processor']}), load average {about['load_average']}\n")
        print(f"{'':26}{'rows':>10}{'rows/s':>9}{'per CPU s':>11}{'MB/s':>8}{'peak MiB':>10}{'file MB':>9}")
        for what, count in counts.items():
            for ending in arguments.formats.split(","):
                row = measure(url, what, ending, count, Path(folder))
                found.append(row)
                print(
                    f"{what:14}{ending:12}{count:>10,}{row['rows_a_second']:>9,}{row['rows_a_cpu_second']:>11,}"
                    f"{row['mb_a_second']:>8}{row['peak_mib']:>10}{row['file_mb']:>9}"
                )
    if arguments.output:
        arguments.output.write_text(json.dumps({"machine": about, "exports": found}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
