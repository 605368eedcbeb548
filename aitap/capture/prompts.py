"""The user's own words, found where real clients put them.

The newest turn of a request is everything after the last assistant message. In it, what the person
typed is the text of the last user message that has any left once everything the client wrapped round
it is taken away. What clients wrap is data (``data/prompts.toml``).
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aitap.capture.facts import Message

__all__ = ["Prompt", "PromptRules", "find_prompt", "rules_for", "without_wrappers"]

_QUOTED = re.compile(r'"([^"]*)"\s*')
_MOST_WRAPPERS = 256
"""No client comes near; each costs a pass over the text."""


class Prompt(msgspec.Struct):
    """A prompt and what is to be said beside it."""

    text: str
    metadata: dict[str, Any] = {}


class PromptRules:
    """The wrappers one client uses, ready to be taken away."""

    def __init__(
        self,
        tags: Iterable[str],
        unwrap: Iterable[str],
        prefixes: Iterable[str],
        suffixes: Iterable[str],
        *,
        quoted: bool = False,
    ) -> None:
        names = "|".join(sorted(map(re.escape, tags), key=len, reverse=True))
        self._front = re.compile(rf"\s*<({names})(?:\s[^<>]*)?>")
        self._back = re.compile(rf"</({names})>\s*\Z")
        inner = "|".join(sorted(map(re.escape, unwrap), key=len, reverse=True))
        self._unwrap = re.compile(rf"<({inner})>")
        self._prefixes = tuple(prefixes)
        self._suffixes = tuple(suffixes)
        self._quoted = quoted

    def strip(self, text: str) -> str:
        """What is left of a text once the client's own parts are gone; the text itself where there are none."""
        left = text
        for _ in range(_MOST_WRAPPERS):
            before = left
            if match := self._front.match(left):
                end = left.find(f"</{match[1]}>", match.end())
                # An element that is never closed was cut by the client: all of it is the client's.
                left = "" if end < 0 else left[end + len(match[1]) + 3 :]
            if (last := left.rfind("</")) >= 0 and (match := self._back.match(left, last)):
                start = max(
                    left.rfind(f"<{match[1]}>", 0, match.start()), left.rfind(f"<{match[1]} ", 0, match.start())
                )
                left = left if start < 0 else left[:start]
            if left == before:
                break
        if left.lstrip().startswith(self._prefixes):
            return ""
        cuts = [cut for suffix in self._suffixes if (cut := left.find(suffix)) >= 0]
        if cuts:
            left = left[: min(cuts)]
        bare = left.strip()
        if (match := self._unwrap.match(bare)) and bare.endswith(end_tag := f"</{match[1]}>"):
            left = bare[match.end() : -len(end_tag)].strip()
        if self._quoted and (words := _QUOTED.fullmatch(left)) and any(map(str.isspace, words[1])):
            left = words[1]
        return text if left == text else left.strip()


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files("aitap.capture").joinpath("data/prompts.toml").read_text("utf-8"))


@lru_cache(maxsize=64)
def rules_for(client: str | None) -> PromptRules:
    """The rules in force for this client: the common ones and its own."""
    table = _table()
    rows = [table, *(row for row in table["client"] if client in row["names"])]
    lists = ([text for row in rows for text in row.get(key, ())] for key in ("tags", "unwrap", "prefixes", "suffixes"))
    return PromptRules(*lists, quoted=any(row.get("quoted", False) for row in rows))


def find_prompt(newest: list[Message], client: str | None) -> Prompt | None:
    """The prompt of the newest turn, or None where no person spoke in it."""
    rules = rules_for(client)
    for message in reversed(newest):
        if message.role != "user":
            continue
        texts, left_out, left_out_chars = [], 0, 0
        for text in message.texts:
            kept = rules.strip(text)
            if kept.strip():
                texts.append(kept)
            if kept != text:
                left_out += 1
                left_out_chars += len(text) - len(kept)
        if not texts:
            continue
        metadata: dict[str, Any] = {}
        if message.attachments:
            metadata["attachments"] = [msgspec.to_builtins(item) for item in message.attachments]
        if left_out:
            metadata |= {"left_out": left_out, "left_out_chars": left_out_chars}
        return Prompt("\n".join(texts), metadata)
    return None


def without_wrappers(message: Message, client: str | None) -> list[str]:
    """A message's texts as they compare with the same message sent again: wrappers change from turn to turn."""
    rules = rules_for(client)
    return [kept for text in message.texts if (kept := rules.strip(text).strip())]
