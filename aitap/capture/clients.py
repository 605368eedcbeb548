"""Who speaks: client, version, session, agent and purpose of a request. The table is data (``data/clients.toml``)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import Any

import msgspec

from aitap.capture.facts import RequestFacts
from aitap.capture.wire import jsontext
from aitap.record import Purpose
from aitap.short_questions import remembering

__all__ = ["Client", "Clients"]

Headers = Mapping[str, str]
Source = Callable[[Headers, RequestFacts], str | None]
_NO_FACTS = RequestFacts()
_KEPT = ("conversation", "conversation_id")
"""Where a request says which conversation it goes on with of those that the provider keeps: OpenAI, Cohere (v1)."""


class Client(msgspec.Struct):
    """What a request says about its sender. Ids are the client's own; None where it sends none."""

    name: str | None = None
    version: str | None = None
    session_id: str | None = None
    agent: str | None = None
    parent_agent: str | None = None
    agent_type: str | None = None
    is_subagent: bool = False
    purpose: Purpose = "conversation"
    purpose_reason: str | None = None


class _Row(msgspec.Struct):
    name: str
    user_agent: re.Pattern[str] | None
    header: Callable[[Headers, RequestFacts], bool] | None
    system: re.Pattern[str] | None
    version: list[Source]
    session: list[Source]
    agent: list[Source]
    parent_agent: list[Source]
    agent_type: list[Source]
    subagent: list[Callable[[Headers, RequestFacts], bool]]


class _PurposeRule(msgspec.Struct):
    reason: str
    purpose: Purpose
    client: str | None
    when: list[Callable[[Headers, RequestFacts], bool]]
    needs: frozenset[str]
    """Headers of which one must be there for ``when`` to hold (or an id in the body)."""
    system: re.Pattern[str] | None
    prompt: re.Pattern[str] | None
    tools: bool | None
    max_tokens: int | None
    prewarm: bool

    def fits(self, headers: Headers, facts: RequestFacts, words: list[str]) -> bool:
        """Whether what is dear to ask holds: the system text, the user's (``words``) and the headers."""
        if self.system is not None and self.system.search(facts.system) is None:
            return False
        if self.prompt is not None and not any(map(self.prompt.match, words)):
            return False
        return not self.when or any(condition(headers, facts) for condition in self.when)


def _newest_words(facts: RequestFacts) -> list[str]:
    """The texts of the newest message in the user's name."""
    return next((message.texts for message in reversed(facts.newest) if message.role == "user"), [])


def _place(text: str) -> tuple[str, str]:
    """Where a source looks: ``header`` or ``body``, and the name there."""
    place, _, rest = text.partition(":")
    return place, re.split("[#~=]", rest, maxsplit=1)[0]


def _source(text: str) -> Source:
    """A source of the table's language as a function that finds the value, or None."""
    place, _, rest = text.partition(":")
    name, mark, detail = next(((*rest.partition(mark),) for mark in ("#", "~") if mark in rest), (rest, "", ""))
    pattern = re.compile(detail) if mark == "~" else None

    def find(headers: Headers, facts: RequestFacts) -> str | None:
        value = headers.get(name) if place == "header" else facts.body_ids.get(name)
        if not value:
            return None
        if mark == "#":
            return _member(value, detail)
        if pattern is not None:
            match = pattern.search(value)
            return match[1].strip() or None if match else None
        return value.strip() or None

    return find


def _member(text: str, key: str) -> str | None:
    if not text.startswith("{"):
        return None
    try:
        value = jsontext.as_dict(jsontext.decode(text.encode())).get(key)
    except jsontext.NotJSONError:
        return None
    return value.strip() or None if isinstance(value, str) else None


def _condition(text: str) -> Callable[[Headers, RequestFacts], bool]:
    name, equals, wanted = (text, "", "") if "~" in text else text.partition("=")
    source = _source(name)
    if not equals:
        return lambda headers, facts: source(headers, facts) is not None
    return lambda headers, facts: source(headers, facts) == wanted


def _one_of(texts: str | list[str]) -> Callable[[Headers, RequestFacts], bool]:
    conditions = [_condition(text) for text in ([texts] if isinstance(texts, str) else texts)]
    return lambda headers, facts: any(condition(headers, facts) for condition in conditions)


def _pattern(text: str | None, flags: int = 0) -> re.Pattern[str] | None:
    return None if text is None else re.compile(text, flags)


def _first(sources: Iterable[Source], headers: Headers, facts: RequestFacts) -> str | None:
    for source in sources:
        if (value := source(headers, facts)) is not None:
            return value[:256]
    return None


class Clients:
    """Answers who sent a request."""

    def __init__(self, table: dict[str, Any] | None = None) -> None:
        if table is None:
            table = tomllib.loads(resources.files("aitap.capture").joinpath("data/clients.toml").read_text("utf-8"))
        self._rows = [
            _Row(
                name=row["name"],
                user_agent=_pattern(row.get("user_agent"), re.IGNORECASE),
                header=_one_of(row["header"]) if "header" in row else None,
                system=_pattern(row.get("system")),
                version=[_source(row["version"])] if "version" in row else [],
                session=[_source(text) for text in row.get("session", ())],
                agent=[_source(text) for text in row.get("agent", ())],
                parent_agent=[_source(text) for text in row.get("parent_agent", ())],
                agent_type=[_source(text) for text in row.get("agent_type", ())],
                subagent=[_condition(text) for text in row.get("subagent", ())],
            )
            for row in table["client"]
        ]
        self._rules = [
            _PurposeRule(
                reason=rule["reason"],
                purpose=rule["purpose"],
                client=rule.get("client"),
                when=[_condition(text) for text in rule.get("when", ())],
                needs=frozenset(_place(text)[1] for text in rule.get("when", ())),
                system=_pattern(rule.get("system")),
                prompt=_pattern(rule.get("prompt")),
                tools=rule.get("tools"),
                max_tokens=rule.get("max_tokens"),
                prewarm=rule.get("prewarm", False),
            )
            for rule in table["purpose"]
        ]
        # A User-Agent always fits the same rows in the same way.
        self._by_user_agent = remembering(self._match_user_agent, entries=1024)

    def identify(self, headers: Headers, facts: RequestFacts) -> Client:
        """Everything the table can tell of a request; ``headers`` have lower-case names."""
        row, version = self._row(headers, facts)
        client = Client()
        if row is not None:
            client.name = row.name
            client.version = version or _first(row.version, headers, facts)
            client.session_id = _first(row.session, headers, facts)
            client.agent = _first(row.agent, headers, facts)
            client.parent_agent = _first(row.parent_agent, headers, facts)
            client.agent_type = _first(row.agent_type, headers, facts)
            client.is_subagent = any(condition(headers, facts) for condition in row.subagent)
        if client.session_id is None and (kept := next(filter(None, map(facts.body_ids.get, _KEPT)), None)):
            client.session_id = kept[:256]
        rule = self._purpose(client.name, headers, facts)
        if rule is not None:
            client.purpose, client.purpose_reason = rule.purpose, rule.reason
        return client

    def named(self, headers: Headers) -> str | None:
        """The client's name as far as the headers tell it.

        A client whose only mark is its system text has the name of the library it stands on.
        """
        row, _ = self._row(headers, _NO_FACTS)
        return row.name if row is not None else None

    def _purpose(self, client: str | None, headers: Headers, facts: RequestFacts) -> _PurposeRule | None:
        has_tools, max_tokens, prewarm, bodies = facts.has_tools, facts.max_tokens, facts.prewarm, facts.body_ids
        names = headers.keys()
        words = _newest_words(facts)
        for rule in self._rules:
            # Nearly every rule falls at one of these, without a call.
            if rule.tools is not None and rule.tools is not has_tools:
                continue
            if rule.max_tokens is not None and rule.max_tokens != max_tokens:
                continue
            if rule.prewarm and not prewarm:
                continue
            if rule.client is not None and rule.client != client:
                continue
            if rule.needs and not bodies and rule.needs.isdisjoint(names):
                continue
            if rule.fits(headers, facts, words):
                return rule
        return None

    def _match_user_agent(self, user_agent: str) -> list[tuple[_Row, str | None]]:
        found: list[tuple[_Row, str | None]] = []
        for row in self._rows:
            if row.user_agent is None:
                if row.header is not None or row.system is not None:
                    found.append((row, None))
            elif match := row.user_agent.search(user_agent):
                found.append((row, match.groupdict().get("version")))
                if row.header is None and row.system is None:
                    break  # nothing after it can be reached
        return found

    def _row(self, headers: Headers, facts: RequestFacts) -> tuple[_Row | None, str | None]:
        for row, version in self._by_user_agent(headers.get("user-agent", "")):
            if row.header is not None and not row.header(headers, facts):
                continue
            if row.system is not None and not row.system.search(facts.system):
                continue
            return row, version
        return None, None
