"""Print the part of requirements.txt, hashes and all, that some packages need: for an image without what tests need.

    python runtime_lock.py                          what aitap runs with
    python runtime_lock.py --extra postgres,server  and with these extras of it
    python runtime_lock.py hatchling                what these packages need

The lock says of each package which others asked for it (``# via``); what is reached from the start is kept.
Plain Python, and nothing is downloaded: the image is built before anything is installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

__all__ = ["needed", "read_lock"]

_BLOCK = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==.*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_VIA = re.compile(r"^    #(?: via)? +([A-Za-z0-9._-]+)", re.MULTILINE)
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[(?P<extras>[^\]]*)\])?")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(text: str) -> dict[str, tuple[str, set[str]]]:
    """Each package's own lines, and who asked for it. A package may have several lines, one for each Python."""
    found: dict[str, tuple[str, set[str]]] = {}
    for match in _BLOCK.finditer(text):
        name = _plain(match["name"])
        lines, parents = found.get(name, ("", set()))
        found[name] = (lines + match[0], parents | {_plain(parent) for parent in _VIA.findall(match[0])})
    return found


def needed(lock: dict[str, tuple[str, set[str]]], roots: set[str]) -> str:
    """The lines of the roots and of all they need."""
    if missing := roots - set(lock):
        raise SystemExit(f"runtime_lock.py: not in requirements.txt: {', '.join(sorted(missing))}")
    kept = set(roots)
    while more := {name for name, (_, parents) in lock.items() if name not in kept and parents & kept}:
        kept |= more
    return "".join(lines for name, (lines, _) in lock.items() if name in kept)


def main(arguments: list[str]) -> None:
    """Read the two files beside this one, or in the folder above."""
    own = Path(__file__).resolve().parent
    folder = own if (own / "requirements.txt").exists() else own.parent
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    lock = read_lock((folder / "requirements.txt").read_text("utf-8"))
    asked = arguments if arguments and arguments[0] != "--extra" else _of_aitap(project, arguments[1:])
    sys.stdout.write(needed(lock, {_plain(name) for name in asked}))


def _of_aitap(project: dict[str, Any], extras: list[str]) -> list[str]:
    """The packages that aitap names itself, with those of its extras (several with commas between them)."""
    lines = list(project["dependencies"])
    for extra in filter(None, ",".join(extras).split(",")):
        if extra not in project["optional-dependencies"]:
            raise SystemExit(f"runtime_lock.py: aitap has no extra {extra!r}")
        lines += project["optional-dependencies"][extra]
    found = []
    for line in lines:
        if match := _REQUIREMENT.match(line):
            found.append(match["name"])
            # psycopg[binary] is psycopg-binary beside it: the lock does not say who asked for that.
            found += [f"{match['name']}-{extra.strip()}" for extra in (match["extras"] or "").split(",") if extra]
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
