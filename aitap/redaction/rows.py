"""The rules of redaction: the built-in table, the user's own ``[[redaction]]`` rows, and the setting that chooses.

    redact = "secrets, personal"       # or one of them, or all, or off; also names of rules: ip_address, -phone

    [[redaction]]
    name = "customer"                  # stands in the text instead: [redacted:customer]
    pattern = "CUST-[0-9]{6,10}"       # a regular expression of Python; a group named value is what goes
    replace = "label"                  # or "stars", or "nothing"

A user's own rules are in force whenever the setting is not ``off``. What is wrong with a row or with the setting is
said in one line; the proxy does not start with a rule that cannot be used.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, get_args

import msgspec

__all__ = ["OwnRule", "OwnRuleError", "Replacement", "Rule", "builtin_rules", "choice", "chosen_rules", "own_rules"]

Replacement = Literal["label", "stars", "nothing"]
"""What stands where something was removed: ``[redacted:NAME]``, as many stars as characters, or nothing."""

_SETS = ("secrets", "personal")
_WORDS = ("off", "all", *_SETS)
_KEYS = ("name", "pattern", "replace")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LONGEST_PATTERN = 2000
_RESERVED = "withheld"


class OwnRuleError(ValueError):
    """A row that cannot be used. The text is one line that says which, why, and what would be right."""


class OwnRule(msgspec.Struct, frozen=True, array_like=True):
    """A user's own rule."""

    name: str
    pattern: str
    replace: Replacement = "label"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule; ``data/rules.toml`` says what the fields mean."""

    name: str
    pattern: str
    set: Literal["secrets", "personal", "optional", "own"] = "own"
    keywords: tuple[str, ...] = ()
    anchored: bool = False
    check: str = ""
    members: str = ""
    wrapped: bool = False
    replace: Replacement = "label"


class _Table(msgspec.Struct):
    rule: tuple[Rule, ...]


@lru_cache(maxsize=1)
def builtin_rules() -> tuple[Rule, ...]:
    """The rules that come with aitap, in the order in which they count."""
    text = resources.files("aitap.redaction").joinpath("data/rules.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _Table).rule


def choice(text: str) -> tuple[str, ...]:
    """The words of the setting, checked; empty for ``off``. Raises ``ValueError`` with what to write instead."""
    words = tuple(word for word in re.split(r"[,\s]+", text.strip().lower()) if word)
    if words in ((), ("off",), ("false",), ("none",)):
        return ()
    names = [rule.name for rule in builtin_rules()]
    for word in words:
        if word in ("off", "false"):
            raise ValueError("off goes with nothing else")
        if word not in _WORDS and word.removeprefix("-") not in names:
            near = difflib.get_close_matches(word.removeprefix("-"), [*_WORDS, *names], n=1, cutoff=0.0)[0]
            raise ValueError(f"{word!r} is neither a set nor a rule, did you mean {near!r}?")
    if all(word.startswith("-") for word in words):
        raise ValueError(f"say what to take out first: all, {', '.join(_SETS)}, then what to leave")
    return words


def chosen_rules(words: tuple[str, ...], own: tuple[OwnRule, ...] = ()) -> tuple[Rule, ...]:
    """The rules that the setting asks for, a user's own first; none where it is ``off``."""
    if not words:
        return ()
    wanted = {word for word in words if not word.startswith("-")}
    if "all" in wanted:
        wanted |= set(_SETS)
    left = {word[1:] for word in words if word.startswith("-")}
    return (
        *(Rule(name=rule.name, pattern=rule.pattern, replace=rule.replace) for rule in own),
        *(rule for rule in builtin_rules() if (rule.set in wanted or rule.name in wanted) and rule.name not in left),
    )


def own_rules(rows: Any) -> tuple[OwnRule, ...]:
    """A user's rows, checked. Raises :class:`OwnRuleError` for the first thing that is wrong with one."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise OwnRuleError("write each rule of redaction as a table of its own, under [[redaction]]")
    found = tuple(_row(f"redaction {number}", row) for number, row in enumerate(rows, 1))
    names = [rule.name for rule in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise OwnRuleError(f"two redactions are named {twice!r}: the name says in the record which of them it was")
    return found


def _row(where: str, row: dict[str, Any]) -> OwnRule:
    for key in row:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.0)[0]
            raise OwnRuleError(f"{where}: unknown key {key!r}, did you mean {near!r}?")
    name, pattern, replace = row.get("name"), row.get("pattern"), row.get("replace", "label")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise OwnRuleError(f"{where} needs a name of small letters, digits, _ and -")
    if name == _RESERVED or any(name == rule.name for rule in builtin_rules()):
        raise OwnRuleError(f"{where}: {name!r} is a name of aitap's own, choose another")
    if not isinstance(pattern, str) or not pattern:
        raise OwnRuleError(f"{where} ({name}) needs a pattern")
    if replace not in get_args(Replacement):
        raise OwnRuleError(f"{where} ({name}): replace is one of {', '.join(get_args(Replacement))}")
    if len(pattern) > _LONGEST_PATTERN:
        raise OwnRuleError(f"{where} ({name}): a pattern has at most {_LONGEST_PATTERN} characters")
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise OwnRuleError(f"{where} ({name}): {pattern!r} is no regular expression: {error}") from None
    if compiled.fullmatch(""):
        raise OwnRuleError(f"{where} ({name}): the pattern fits no text at all: write + for *, or {{1,9}} for {{0,9}}")
    return OwnRule(name, pattern, replace)
