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
    """What one client wraps round a person's words and puts beside them, ready to be taken away."""

    def __init__(
        self,
        tags: Iterable[str],
        unwrap: Iterable[str],
        prefixes: Iterable[str],
        suffixes: Iterable[str],
        *,
        quoted: bool = False,
        breaks: Iterable[str] = (),
        reads: Iterable[str] = (),
        commands: Iterable[str] = (),
        extras: Iterable[str] = (),
        answers: Iterable[str] = (),
        relays: Iterable[str] = (),
        replies: Iterable[str] = (),
        after: Iterable[str] = (),
        within: Iterable[str] = (),
    ) -> None:
        names = _names(tags)
        self._front = re.compile(rf"\s*<({names})(?:\s[^<>]*)?>")
        self._back = re.compile(rf"</({names})>\s*\Z")
        self._unwrap = re.compile(rf"<({_names(unwrap)})>")
        self._answers = re.compile(rf"<({_names(answers)})>")
        self._commands = _any_of(commands)
        self._extras = _any_of(extras)
        self._relays = _any_of(relays)
        self._replies = _any_of(replies)
        self._after = tuple(after)
        self._within = tuple((f"<{name}>", f"</{name}>") for name in within)
        self._breaks = tuple(breaks)
        self._reads = tuple(reads)
        self._prefixes = tuple(prefixes)
        self._suffixes = tuple(suffixes)
        self._quoted = quoted

    def words(self, texts: list[str], *, beside_results: bool = False) -> list[str]:
        """What is left of each text of one message; empty for those that the client put there.

        Beside the results of tools (``beside_results``) a command is one that the model gave, not a person.
        """
        left: list[str] = []
        reading = adding = False
        for text in texts:
            bare = text.lstrip()
            result, reading = reading, bool(self._reads) and bare.startswith(self._reads)
            if self._breaks and bare.startswith(self._breaks):
                left = [""] * (len(left) + 1)
                adding = beside_results = False
            elif reading or result:
                left.append("")
            elif self._commands and (command := self._commands.match(bare)):
                given = "" if beside_results else " ".join(word.strip() for word in command.groups() if word)
                left.append(given.strip())
                adding = True
            elif adding or (self._extras and self._extras.match(bare)):
                adding = True
                inside = text[match.end() : text.find("</", match.end())] if (match := self._front.match(text)) else ""
                left.append("\n".join([*self._answered(text), *self._relayed(inside)]))
            else:
                left.append(self.strip(text))
        return left

    def _answered(self, text: str) -> list[str]:
        """The insides of the elements that a person wrote."""
        found: list[str] = []
        start, never_closed = 0, set()
        while match := self._answers.search(text, start):
            end = -1 if match[1] in never_closed else text.find(f"</{match[1]}>", match.end())
            if end < 0:
                never_closed.add(match[1])
            else:
                found.append(text[match.end() : end].strip())
            start = max(end, match.end())
        return found

    def passed_on(self, message: Message) -> list[str]:
        """The words of a person that a client puts into the results of tools."""
        found: list[str] = []
        for text in message.told if message.role == "user" else message.texts:
            if self._replies and (reply := self._replies.match(text)):
                found += [words.strip() for words in reply.groups() if words]
            elif self._relays:
                found += [words for tail in _tails(text) for words in self._relayed(tail)]
        return [words for words in found if words]

    def broken_off(self, texts: list[str]) -> bool:
        """Whether what was said before this message was said with an earlier request."""
        return bool(self._breaks) and any(text.lstrip().startswith(self._breaks) for text in texts)

    def strip(self, text: str) -> str:
        """What is left of a text once the client's own parts are gone; the text itself where there are none."""
        left = self._asked(text) if self._after or self._within else text
        before_it: list[str] = []
        after_it: list[str] = []
        for _ in range(_MOST_WRAPPERS):
            before = left
            if match := self._front.match(left):
                end = left.find(f"</{match[1]}>", match.end())
                before_it += self._relayed(left[match.end() : end if end >= 0 else None])
                # An element that is never closed was cut by the client: all of it is the client's.
                left = "" if end < 0 else left[end + len(match[1]) + 3 :]
            if (last := left.rfind("</")) >= 0 and (match := self._back.match(left, last)):
                start = max(
                    left.rfind(f"<{match[1]}>", 0, match.start()), left.rfind(f"<{match[1]} ", 0, match.start())
                )
                if start >= 0:
                    after_it += self._relayed(left[left.find(">", start) + 1 : match.start()])
                    left = left[:start]
            if left == before:
                break
        if before_it or after_it:
            return "\n".join([*before_it, *filter(None, [left.strip()]), *reversed(after_it)])
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

    def _asked(self, text: str) -> str:
        """The part of a text that the client marks as what was asked; all of it where it marks none."""
        for mark in self._after:
            if (start := text.find(mark)) >= 0:
                text = text[start + len(mark) :].strip()
        for begin, end in self._within:
            if 0 <= (start := text.find(begin)) < (stop := text.rfind(end)):
                text = text[start + len(begin) : stop].strip()
        return text

    def _relayed(self, inside: str) -> list[str]:
        """The words of a person that a client passes on inside an element of its own."""
        match = self._relays.match(inside) if self._relays else None
        return [words.strip() for words in match.groups() if words and words.strip()] if match else []


_TAIL, _TAIL_END = "<system-reminder>", "</system-reminder>"
_MOST_TAILS = 16


def _tails(text: str) -> list[str]:
    """The insides of the reminders that a client added to the very end of a result, in their order."""
    found: list[str] = []
    while len(found) < _MOST_TAILS and (text := text.rstrip()).endswith(_TAIL_END):
        start = text.rfind(_TAIL)
        if start < 0:
            break
        found.append(text[start + len(_TAIL) : -len(_TAIL_END)])
        text = text[:start]
    return found[::-1]


def _names(tags: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, tags), key=len, reverse=True)) or "(?!)"


def _any_of(patterns: Iterable[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.DOTALL) if patterns else None


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files("aitap.capture").joinpath("data/prompts.toml").read_text("utf-8"))


_LISTS = (
    *("tags", "unwrap", "prefixes", "suffixes", "breaks", "reads"),
    *("commands", "extras", "answers", "relays", "replies", "after", "within"),
)


@lru_cache(maxsize=64)
def rules_for(client: str | None) -> PromptRules:
    """The rules in force for this client: the common ones and its own."""
    table = _table()
    rows = [table, *(row for row in table["client"] if client in row["names"])]
    lists = {key: [text for row in rows for text in row.get(key, ())] for key in _LISTS}
    return PromptRules(**lists, quoted=any(row.get("quoted", False) for row in rows))


def find_prompt(newest: list[Message], client: str | None) -> Prompt | None:
    """The prompt of the newest turn, or None where no person spoke in it."""
    rules = rules_for(client)
    for message in reversed(newest):
        if message.role not in ("user", "tool"):
            continue
        given = message.texts if message.role == "user" else []
        words = rules.words(given, beside_results=bool(message.results))
        texts = [*(kept for kept in words if kept.strip()), *rules.passed_on(message)]
        if not texts:
            if rules.broken_off(message.texts):
                return None
            continue
        metadata: dict[str, Any] = {}
        if message.attachments:
            metadata["attachments"] = [msgspec.to_builtins(item) for item in message.attachments]
        shorter = [len(text) - len(kept) for text, kept in zip(given, words, strict=True) if kept != text]
        if shorter:
            metadata |= {"left_out": len(shorter), "left_out_chars": sum(shorter)}
        return Prompt("\n".join(texts), metadata)
    return None


def without_wrappers(message: Message, client: str | None) -> list[str]:
    """A message's texts as they compare with the same message sent again: wrappers change from turn to turn."""
    words = rules_for(client).words(message.texts, beside_results=bool(message.results))
    return [kept for text in words if (kept := text.strip())]
