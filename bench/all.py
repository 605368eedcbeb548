"""``python -m bench.all``: everything there is to measure, one part after the other, as one JSON file and one Markdown.

Each part is the command that measures it alone (``python -m bench.NAME``), in a process of its own, which tells its own
progress; this one hands it the databases it needs and gathers what it found. A part that fails is told, the others go
on. Exit status 0 when all parts went well, 1 when one did not, 2 for wrong usage.

On a machine with nothing else to do it takes about half an hour, with ``--quick`` some minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import litellm, machine
from bench.markdown import document

__all__ = ["Part", "parts", "run"]

HERE = Path(__file__).parent
DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Part:
    """A part: its name in the results, the module, what it is given beside ``-o FILE``."""

    name: str
    module: str
    arguments: list[str] = field(default_factory=list)
    writes: bool = True
    """Whether it leaves JSON."""


def parts(asked: argparse.Namespace, folder: Path) -> list[Part]:
    """What is to be run, in this order; databases are made in ``folder``."""
    quick = asked.quick
    overhead = ["--litellm", str(asked.litellm)] if asked.litellm else []
    found = [
        Part("overhead", "bench", [*overhead, *_rounds(asked), *(["--quick"] if quick else [])]),
        Part("workers", "bench.workers", ["--rounds", "1", "--seconds", "1"] if quick else []),
    ]
    for kind in asked.databases:
        filled, empty = (["--url", _url(kind, folder / f"{state}-{kind}")] for state in ("filled", "empty-{}"))
        found += [
            Part(f"writer {kind}", "bench.writer", [*empty, *(["--units", "5000"] if quick else [])]),
            Part(f"fill {kind}", "bench.fill", [*filled, "--rows", str(asked.rows)], writes=False),
            Part(f"queries {kind}", "bench.queries", filled),
            Part(f"export {kind}", "bench.export", filled),
            Part(f"retention {kind}", "bench.retention", filled),
        ]
    return [part for part in found if part.name.split()[0] in asked.only]


NAMES = ("overhead", "workers", "writer", "fill", "queries", "export", "retention")


def _url(kind: str, place: Path) -> str:
    """A URL of the bench's; ``{}`` stands for the round, for which SQLite has a file of its own."""
    return f"sqlite:///{place}.db" if kind == "sqlite" else f"postgres:///{place}".replace("-{}", "")


def _rounds(asked: argparse.Namespace) -> list[str]:
    return ["--rounds", str(asked.rounds)] if asked.rounds else []


def run(wanted: list[Part], folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Run them; what each found, and of each that failed why."""
    found: dict[str, Any] = {}
    failed: dict[str, str] = {}
    begun = time.monotonic()
    for number, part in enumerate(wanted, 1):
        print(f"\n[{number}/{len(wanted)}, {time.monotonic() - begun:.0f} s] {part.name}", file=sys.stderr, flush=True)
        file = folder / "part.json"
        command = [sys.executable, "-m", part.module, *part.arguments, *(["-o", str(file)] if part.writes else [])]
        status = subprocess.run(command, check=False, cwd=HERE.parent, stdin=subprocess.DEVNULL).returncode
        if file.exists():
            found[part.name] = json.loads(file.read_text(encoding="utf-8"))
            file.unlink()
        if status:
            failed[part.name] = f"ended with status {status}"
            print(f"bench: {part.name} {failed[part.name]}", file=sys.stderr)
    return found, failed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.all", description=__doc__.partition("\n")[0].partition(": ")[2])
    parser.add_argument("--quick", action="store_true", help="a look: few rounds, 20,000 interceptions")
    parser.add_argument("--only", default=",".join(NAMES), metavar="NAMES", help=f"comma-separated: {', '.join(NAMES)}")
    parser.add_argument("--rows", type=int, help="interceptions in the filled databases (default 1,000,000)")
    parser.add_argument("--rounds", type=int, help="of the comparison with mitmdump (default 8; --quick 2)")
    parser.add_argument(
        "--databases", default=DATABASES[0], metavar="KINDS", help=f"comma-separated: {', '.join(DATABASES)}"
    )
    parser.add_argument("--litellm", type=Path, metavar="VENV", help="where LiteLLM's proxy is; see python -m bench")
    parser.add_argument("--folder", type=Path, help="where databases are made and kept (default: a temporary one)")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "all.json", help="JSON; Markdown goes beside it")
    asked = parser.parse_args()
    asked.only, asked.databases = asked.only.split(","), asked.databases.split(",")
    for option, given, known in (("--only", asked.only, NAMES), ("--databases", asked.databases, DATABASES)):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"{option} knows no {unknown[0]!r}: it takes {', '.join(known)}")
    if asked.litellm:
        asked.litellm = asked.litellm.absolute()
        try:
            litellm.found(asked.litellm)
        except FileNotFoundError as error:
            parser.error(str(error))
    asked.rows = asked.rows or (20_000 if asked.quick else 1_000_000)
    return asked


def main() -> int:
    """See the module."""
    asked = _arguments()
    about = machine.describe()
    begun = time.monotonic()
    folder = asked.folder.absolute() if asked.folder else Path(tempfile.mkdtemp(prefix="aitap-bench-all-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found, failed = run(parts(asked, folder), folder)
    except KeyboardInterrupt:
        return 130
    finally:
        if not asked.folder:
            shutil.rmtree(folder, ignore_errors=True)
    result = {"machine": about, "seconds": round(time.monotonic() - begun), "failed": failed, "parts": found}
    asked.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = document(result)
    asked.output.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten to {asked.output} and {asked.output.with_suffix('.md')}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
