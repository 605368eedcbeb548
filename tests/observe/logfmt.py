"""A reader of logfmt, by its rules and by nothing of ours."""

from __future__ import annotations

import json
import re

__all__ = ["parse"]

_PAIR = re.compile(r'([a-z_.]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')


def parse(line: str) -> dict[str, str]:
    """The pairs of one line; an ``AssertionError`` where it is none."""
    found, place = {}, 0
    while place < len(line):
        match = _PAIR.match(line, place)
        assert match, line[place:]
        found[match[1]] = json.loads(match[2]) if match[2].startswith('"') else match[2]
        place = match.end()
    return found
