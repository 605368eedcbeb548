"""The rules of the policy, ``[[rule]]`` in ``aitap.toml``: who may call which model.

    [[rule]]
    action = "deny"                   # or "allow"; the first rule that fits decides
    users = "intern-*"                # a name or a list of them; * stands for anything, case does not count
    models = ["*-opus-*", "gpt-5*"]
    message = "Ask the platform team for access to large models."

Every key but ``action`` and ``message`` is a condition, and a rule fits where all of its conditions hold;
where no rule fits, the call is allowed. What is wrong with a rule is said in one line, with its number and the
nearest word that would have been right: a rule that can never fit, because a client or a provider is misspelt,
is wrong too. The file is read when the proxy starts.

A client is known by its headers alone here. One whose only mark is its system text (aider, and Cline where it brings
no User-Agent) has the name of the library it stands on, though its records say more.
"""

from __future__ import annotations

import difflib
import tomllib
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from aitap.capture.provider_rows import builtin_table
from aitap.record import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aitap.capture.provider_rows import ProviderRow

__all__ = ["NOBODY", "PolicyRow", "PolicyRowError", "own_rules"]

Action = Literal["allow", "deny"]

NOBODY = "Unknown"
"""What rules call a client that nothing is known of, as lists of records do."""

_CONDITIONS = ("users", "clients", "providers", "models", "hosts")
_KEYS = ("action", *_CONDITIONS, "message")


class PolicyRowError(ValueError):
    """A rule that cannot be used. The text is one line that says which, why, and what would be right."""


class PolicyRow(NamedTuple):
    """One rule. A condition is a tuple of ``*`` patterns in lower case, of which one must fit; empty asks nothing."""

    action: Action
    users: tuple[str, ...] = ()
    """Names or ids of users."""
    clients: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    """Types or names of providers."""
    models: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    message: str = ""
    """What the person is told; empty where the rule has no words of its own."""


def own_rules(rows: Any, providers: Iterable[ProviderRow] = ()) -> tuple[PolicyRow, ...]:
    """The rules, checked; ``providers`` are the user's own, which a rule may name beside the built-in ones.

    Raises :class:`PolicyRowError` for the first thing that is wrong with one.
    """
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PolicyRowError("write each rule as a table of its own, under [[rule]]")
    known = {"clients": _client_names(), "providers": _provider_names(providers)} if rows else {}
    return tuple(_rule(f"rule {number}", row, known) for number, row in enumerate(rows, 1))


def _rule(where: str, row: dict[str, Any], known: dict[str, frozenset[str]]) -> PolicyRow:
    for key in row:
        if key not in _KEYS:
            raise PolicyRowError(f"{where}: unknown key {key!r}, did you mean {_near(key, _KEYS)!r}?")
    action = row.get("action")
    if action not in ("allow", "deny"):
        raise PolicyRowError(f'{where} needs an action: write action = "allow" or action = "deny"')
    conditions = {key: _patterns(f"{where}, {key}", row[key]) for key in _CONDITIONS if key in row}
    if not conditions:
        raise PolicyRowError(f'{where} says nobody and nothing: give it {", ".join(_CONDITIONS)}; users = "*" is all')
    for key, names in known.items():
        for pattern in conditions.get(key, ()):
            if "*" not in pattern and pattern not in {name.lower() for name in names}:
                raise PolicyRowError(
                    f"{where}, {key}: {pattern!r} is none we know, did you mean {_near(pattern, names)!r}?"
                )
    for pattern in conditions.get("hosts", ()):
        if "/" in pattern:
            raise PolicyRowError(f"{where}, hosts: {pattern!r} is no host: write its name alone")
    message = row.get("message", "")
    if not isinstance(message, str):
        raise PolicyRowError(f"{where}: its message is no text")
    return PolicyRow(action, **conditions, message=" ".join(message.split()))


def _patterns(where: str, value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(item, str) and item.strip() for item in values):
        raise PolicyRowError(f"{where}: write a name or a list of names")
    return tuple(item.strip().lower() for item in values)


def _near(word: str, known: Iterable[str]) -> str:
    words = {name.lower(): name for name in known}
    return words[difflib.get_close_matches(word.lower(), sorted(words), n=1, cutoff=0.0)[0]]


@lru_cache(maxsize=1)
def _client_names() -> frozenset[str]:
    table = tomllib.loads(resources.files("aitap.capture").joinpath("data/clients.toml").read_text("utf-8"))
    return frozenset(row["name"] for row in table["client"]) | {NOBODY}


def _provider_names(own: Iterable[ProviderRow]) -> frozenset[str]:
    table = builtin_table()
    built_in = {word for row in table["provider"] for word in (row["name"], row["type"])}
    on_a_route = {route["type"] for routes in table["routes"].values() for route in routes if "type" in route}
    return frozenset(built_in | on_a_route | {word for row in own for word in (row.name, row.type)} | {UNKNOWN})
