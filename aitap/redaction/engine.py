"""Finds in a text what rules describe, and puts something else in its place.

A text that is JSON is searched string by string, each decoded first (so that no escape hides anything) and itself
taken for JSON where it is: only strings in which something was found are written anew, every other byte stays. What
does not look like JSON, or is cut off, is searched as it stands as well.

The time that a text takes grows with its length alone as far as the built-in rules go. For a user's own patterns that
cannot be promised: who calls sets a limit (:mod:`aitap.redaction.redactor`).
"""

from __future__ import annotations

import bisect
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.redaction.checks import CHECKS, value_of_member

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aitap.redaction.rows import Rule

__all__ = ["Counts", "Engine"]

Counts = dict[str, int]
"""How many of what was removed, by the name of the rule."""

_MOST_NESTED = 8
# To the end where a string is not closed: a text that was cut off, and one that is to take long.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|(?<![\w.+-])-?[0-9][0-9.eE+-]{8,40}(?![\w.+-])', re.DOTALL)
_COLON = re.compile(r"\s*:")
_JSON_BEGINS = re.compile(r'\s*[\[{"]')
_CONTAINER_BEGINS = re.compile(r"\s*[\[{]")
_WRAP = re.compile(r"(?<=[A-Za-z0-9_+/=.-])(?:\r?\n[ \t]{0,40}|\\r\\n|\\n)(?=[A-Za-z0-9_+/=.-])")
_ESCAPES = ("\\u", "\\/")
_KEPT_MEMBERS = frozenset(("type", "id", "call_id", "tool_use_id", "digest", "media_type", "role"))
"""Of the parts of a message: what they are and by what they are known again, which nobody typed."""


class _Ready:
    """A rule made ready."""

    __slots__ = ("anchored", "check", "keywords", "members", "name", "pattern", "place", "replace", "values", "wrapped")

    def __init__(self, place: int, rule: Rule) -> None:
        self.pattern = re.compile(rule.pattern)
        self.place = place
        self.name = rule.name
        self.values = [name for name in self.pattern.groupindex if name in ("quoted", "value", "value2")]
        self.keywords = rule.keywords
        self.anchored = rule.anchored
        self.check = CHECKS[rule.check] if rule.check else None
        self.members = re.compile(rule.members) if rule.members else None
        self.wrapped = rule.wrapped
        self.replace = rule.replace

    def instead(self, removed: str) -> str:
        """What stands where this was."""
        if self.replace == "stars":
            return "*" * len(removed)
        return f"[redacted:{self.name}]" if self.replace == "label" else ""

    def spans(self, text: str, lower: str) -> Iterator[tuple[int, int]]:
        """Where in the text, of which ``lower`` is a copy in small letters, something is that the rule describes."""
        # A few letters become two when they become small ones: then places in the one are none in the other.
        anchored = self.anchored and len(lower) == len(text)
        matches = self._anchored(text, lower) if anchored else self._anywhere(text)
        done = 0
        for match in matches:
            start, end = self._value(match)
            size = end - start
            if self.check is not None and size:
                size = self.check(match, text[start:end])
            if size and start >= done:
                done = start + size
                yield start, done

    def _anchored(self, text: str, lower: str) -> Iterator[re.Match[str]]:
        fits = self.pattern.match
        done = 0
        for place in _places(lower, self.keywords):
            if place >= done and (match := fits(text, place)):
                yield match
                # What a check turns down may hide another: that begins after the keyword at the earliest.
                done = match.end() if self.check is None else place + 1

    def _anywhere(self, text: str) -> Iterator[re.Match[str]]:
        find = self.pattern.search
        at = 0
        while match := find(text, at):
            yield match
            at = max(match.end() if self.check is None else 0, match.start() + 1)

    def _value(self, match: re.Match[str]) -> tuple[int, int]:
        for name in self.values:
            if match.start(name) >= 0:
                return match.span(name)
        return match.span()


def _places(lower: str, words: Iterable[str]) -> list[int]:
    """Where one of the words is, in order."""
    places = set()
    for word in words:
        place = lower.find(word)
        while place >= 0:
            places.add(place)
            place = lower.find(word, place + 1)
    return sorted(places)


Span = tuple[int, int, _Ready]


class Engine:
    """The rules, ready to be asked."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = [_Ready(place, rule) for place, rule in enumerate(rules)]
        self._members = [rule for rule in self._rules if rule.members is not None]
        self._keywords = {word for rule in self._rules for word in rule.keywords}
        self._wrapped_keywords = {word for rule in self._rules if rule.wrapped for word in rule.keywords}

    def text(self, text: str, counts: Counts) -> str:
        """The text without what the rules describe; what was removed is added to ``counts``."""
        return self._any(text, counts, self._wanted(text), 0)

    def value(self, value: Any, counts: Counts) -> Any:
        """A JSON value (of a message's parts) without what the rules describe."""
        return self._member("", value, counts, _KEPT_MEMBERS)

    # -- texts

    def _wanted(self, text: str) -> Sequence[_Ready]:
        """The rules that may find something, if anything does in a part of this text."""
        if any(escape in text for escape in _ESCAPES):
            return self._rules
        lower = text.lower()
        there = {word for word in self._keywords if word in lower}
        if "\n" in lower or "\\n" in lower:
            # A line break may stand in the middle of a word: those are looked for without it.
            joined = _WRAP.sub("", lower)
            there |= {word for word in self._wrapped_keywords if word in joined}
        return [rule for rule in self._rules if not rule.keywords or not there.isdisjoint(rule.keywords)]

    def _any(self, text: str, counts: Counts, rules: Sequence[_Ready], depth: int) -> str:
        if not rules or not text:
            return text
        if depth < _MOST_NESTED and _JSON_BEGINS.match(text):
            whole = _is_json(text)
            if whole or _CONTAINER_BEGINS.match(text):
                text = self._json(text, counts, rules, depth)
            if whole:
                return text
        return self._plain(text, counts, rules)

    def _plain(self, text: str, counts: Counts, rules: Sequence[_Ready]) -> str:
        lower = text.lower()
        spans = [(*span, rule) for rule in rules for span in rule.spans(text, lower)]
        text = _replaced(text, spans, counts)
        if any(rule.wrapped for rule in rules) and ("\n" in text or "\\n" in text):
            text = self._wrapped(text, counts, [rule for rule in rules if rule.wrapped])
        return text

    def _wrapped(self, text: str, counts: Counts, rules: Sequence[_Ready]) -> str:
        """What stands on two lines. What stands on one is gone by now."""
        cuts = [match.span() for match in _WRAP.finditer(text)]
        if not cuts:
            return text
        joined = _WRAP.sub("", text)
        places: list[int] = []
        """Where in ``joined`` each cut was."""
        removed = 0
        for start, end in cuts:
            places.append(start - removed)
            removed += end - start
        before = [0]
        for start, end in cuts:
            before.append(before[-1] + end - start)
        spans: list[Span] = []
        lower = joined.lower()
        for rule in rules:
            for start, end in rule.spans(joined, lower):
                first, last = bisect.bisect_right(places, start), bisect.bisect_left(places, end)
                if last > first:
                    spans.append((start + before[first], end + before[last], rule))
        return _replaced(text, spans, counts)

    # -- JSON

    def _json(self, text: str, counts: Counts, rules: Sequence[_Ready], depth: int) -> str:
        """JSON text, string by string."""
        pieces: list[str] = []
        done = 0
        member = ""
        for token in _TOKEN.finditer(text):
            literal = token[0]
            if literal[0] == '"':
                is_name = _COLON.match(text, token.end()) is not None
                new = self._literal(literal, "" if is_name else member, counts, rules, depth)
                member = literal[1:-1] if is_name else ""
            else:
                new = self._number(literal, counts, rules)
                member = ""
            if new is not literal:
                pieces += (text[done : token.start()], new)
                done = token.end()
        return "".join((*pieces, text[done:])) if pieces else text

    def _literal(self, literal: str, member: str, counts: Counts, rules: Sequence[_Ready], depth: int) -> str:
        closed = len(literal) > 1 and literal.endswith('"')
        inner = literal[1:-1] if closed else literal[1:]
        if not inner or "\n" in inner:  # no string of JSON
            return literal
        plain = inner
        if "\\" in inner:
            try:
                plain = json.loads(f'"{inner}"' if closed else f'"{inner.rstrip(chr(92))}"', strict=False)
            except ValueError:
                plain = inner
        kept = self._of_member(member, plain, counts, rules) if member else None
        if kept is None:
            kept = self._any(plain, counts, rules, depth + 1)
        if kept == plain:
            return literal
        written = json.dumps(kept, ensure_ascii=literal.isascii())
        return written if closed else written[:-1]

    def _of_member(self, member: str, value: str, counts: Counts, rules: Sequence[_Ready]) -> str | None:
        """What is left of the text of a member whose name says that it is secret; None where it does not."""
        for rule in self._members:
            if rule in rules and rule.members is not None and rule.members.fullmatch(member[:200]):
                if not value_of_member(value):
                    return None
                counts[rule.name] = counts.get(rule.name, 0) + 1
                return rule.instead(value)
        return None

    def _number(self, literal: str, counts: Counts, rules: Sequence[_Ready]) -> str:
        kept = self._plain(literal, counts, rules)
        return literal if kept == literal else json.dumps(kept)

    def _member(self, name: str, value: Any, counts: Counts, kept: frozenset[str] = frozenset()) -> Any:
        if isinstance(value, str):
            rules = self._wanted(value)
            gone = self._of_member(name, value, counts, self._rules) if name else None
            return self._any(value, counts, rules, 0) if gone is None else gone
        if isinstance(value, dict):
            return {
                key if key in kept else self.text(key, counts): item
                if key in kept
                else self._member(key, item, counts, kept if key == "content" else frozenset())
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._member(name, item, counts, kept) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) >= 10**8:
            literal = str(value)
            found = self._plain(literal, counts, self._rules)
            return value if found == literal else found
        return value


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True


def _replaced(text: str, spans: list[Span], counts: Counts) -> str:
    """The text with these spans replaced; where they overlap, all of it goes, by the first rule's name."""
    if not spans:
        return text
    spans.sort(key=lambda span: (span[0], span[2].place))
    pieces: list[str] = []
    done = 0
    group_start, group_end, group_rule = spans[0]

    def settle() -> None:
        pieces.append(text[done:group_start])
        pieces.append(group_rule.instead(text[group_start:group_end]))
        counts[group_rule.name] = counts.get(group_rule.name, 0) + 1

    for start, end, rule in spans[1:]:
        if start < group_end:
            group_end = max(group_end, end)
            if rule.place < group_rule.place:
                group_rule = rule
            continue
        settle()
        done = group_end
        group_start, group_end, group_rule = start, end, rule
    settle()
    return "".join((*pieces, text[group_end:]))
