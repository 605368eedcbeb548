"""What a check found: one line what, one line what to do. Never a credential."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

__all__ = ["Finding", "Status", "ok", "problem", "warning"]

# A text that is passed on (an error of the settings, say) may repeat an address with a password in it.
_PASSWORD = re.compile(r"(?<=://)([^\s/:@'\"]*):(?!\*\*\*@)[^\s'\"]*@")

Status = Literal["ok", "warning", "problem"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    check: str
    """``group.thing``, such as ``ca.expiry``: the same in every version, for scripts."""
    status: Status
    what: str
    fix: str | None = None
    """What to do; None where nothing is to be done."""


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", _masked(what))


def warning(check: str, what: str, fix: str) -> Finding:
    """Something that may be meant so, or will become a problem."""
    return Finding(check, "warning", _masked(what), fix)


def problem(check: str, what: str, fix: str) -> Finding:
    """Something that keeps traffic from flowing, or from being recorded, or records from being safe."""
    return Finding(check, "problem", _masked(what), fix)


def _masked(text: str) -> str:
    return _PASSWORD.sub(r"\1:***@", text)
