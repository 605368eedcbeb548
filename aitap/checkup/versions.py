"""Versions: Python, and the packages that the proxy stands on, against what this aitap asks for."""

from __future__ import annotations

import platform
import re
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from aitap import __version__
from aitap.checkup.finding import Finding, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.checkup.situation import Situation

__all__ = ["check_versions", "fits", "numbers"]

_OLDEST, _TOO_NEW = (3, 11), (3, 15)
_NEEDED = {
    "mitmproxy": ">=12.2.3,<13" if sys.version_info >= (3, 12) else ">=11.0.2,<12",
    "peewee": ">=4.5,<5",
    "msgspec": ">=0.20",
    "click": ">=8.1.8",
    "rich": ">=14",
}
"""As pyproject.toml has it for this Python; a test holds the two together."""


def check_versions(_: Situation) -> Iterator[Finding]:
    """Compare what is installed with what is asked for."""
    if not _OLDEST <= sys.version_info[:2] < _TOO_NEW:
        yield problem(
            "version.python", f"Python {platform.python_version()} is not supported", "use Python 3.11 to 3.14"
        )
    found = [f"Python {platform.python_version()}"]
    for name, wanted in _NEEDED.items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield problem("version.packages", f"{name} is not installed", f"pip install '{name}{wanted}'")
            continue
        found.append(f"{name} {version}")
        if not fits(version, wanted):
            yield problem(
                "version.packages",
                f"{name} {version} is installed, {wanted} is asked for",
                f"pip install '{name}{wanted}'",
            )
    yield ok("version.found", f"aitap {__version__}, {', '.join(found)}")


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``v22.21.0`` is (22, 21, 0)."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def fits(version: str, wanted: str) -> bool:
    """Whether a version is in a range of ``>=`` and ``<``."""
    own = numbers(version)
    for limit in wanted.split(","):
        least = limit.startswith(">=")
        bound = numbers(limit.lstrip("<>="))
        width = max(len(own), len(bound))
        if (_padded(own, width) >= _padded(bound, width)) is not least:
            return False
    return True


def _padded(version: tuple[int, ...], width: int) -> tuple[int, ...]:
    return version + (0,) * (width - len(version))
