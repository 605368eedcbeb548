"""The tools Google runs itself while Gemini answers, as far as the answer shows them.

Code that was run and its result stand in parts of their own; so do calls of the other tools where the
client asked to see them (``toolCall``, ``toolResponse``). Without that, a search shows only in a
candidate's ``groundingMetadata`` (one in maps or in files by what it found alone) and a page that was fetched in its
``urlContextMetadata``, which a stream repeats and completes: the last of each counts (Google's references, "Code
execution", "Grounding with Google Search", "Grounding with Google Maps", "File search", "URL context", "Tool
combination").
"""

from __future__ import annotations

from typing import Any

import msgspec

from aitap.capture.facts import ToolFact
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_list, as_str, value_of
from aitap.record import ToolResult

__all__ = ["ServerTools"]

Raw = msgspec.Raw
_NONE = Raw(b"")


class _Tool(msgspec.Struct, rename="camel"):
    id: Raw = _NONE
    tool_type: Raw = _NONE
    args: Raw = _NONE
    response: Raw = _NONE


class _Source(msgspec.Struct, rename="camel"):
    maps: Raw = _NONE
    retrieved_context: Raw = _NONE


class _Grounding(msgspec.Struct, rename="camel"):
    grounding_chunks: list[_Source] = []
    web_search_queries: Raw = _NONE
    image_search_queries: Raw = _NONE
    retrieval_queries: Raw = _NONE


_tool = msgspec.json.Decoder(_Tool)
_grounding = msgspec.json.Decoder(_Grounding)

_SEARCHES = {
    "web_search_queries": "google_search",
    "image_search_queries": "google_search_image",
    "retrieval_queries": "retrieval",
}


_FOUND = {"maps": "google_maps", "retrieved_context": "file_search"}


class ServerTools:
    """Adds what it finds to ``tools``, in wire order."""

    def __init__(self, tools: list[ToolFact]) -> None:
        self._tools = tools
        self._waiting: list[ToolFact] = []
        self._shown: set[str] = set()
        self._searches: dict[tuple[int, str], str] = {}
        self._pages: dict[int, list[ToolFact]] = {}

    def part(self, code: Raw, result: Raw, call: Raw, response: Raw) -> None:
        """One part of an answer; the members that it does not have are empty."""
        if code:
            ran = as_dict(value_of(code))
            metadata = {"language": language} if (language := as_str(ran.get("language"))) else {}
            self._add("code_execution", as_str(ran.get("code")) or "", as_str(ran.get("id")), metadata)
        elif result:
            came = as_dict(value_of(result))
            output = as_str(came.get("output")) or ""
            failed = came.get("outcome") not in ("OUTCOME_OK", "OUTCOME_UNSPECIFIED", None, 1, 0)
            self._end("code_execution", as_str(came.get("id")), len(output.encode("utf-8", "replace")), failed=failed)
        elif call:
            asked: _Tool = jsontext.split(call, _tool) or _Tool()
            name = (as_str(value_of(asked.tool_type)) or "").lower()
            self._shown.add(name)
            self._add(name, jsontext.raw_text(asked.args), as_str(value_of(asked.id)), {})
        elif response:
            gave: _Tool = jsontext.split(response, _tool) or _Tool()
            failed = as_dict(value_of(gave.response)).get("error") is not None
            name = (as_str(value_of(gave.tool_type)) or "").lower()
            self._end(name, as_str(value_of(gave.id)), len(gave.response), failed=failed)

    def _add(self, name: str, text: str, call_id: str | None, metadata: dict[str, Any]) -> None:
        tool = ToolFact(tool=name, input=text, kind="server", call_id=call_id, metadata=metadata)
        self._tools.append(tool)
        self._waiting.append(tool)

    def _end(self, name: str, call_id: str | None, size: int, *, failed: bool) -> None:
        """A result belongs to the call of its id, or to the oldest open one of its tool where ids are not used."""
        for tool in self._waiting:
            if tool.call_id == call_id if call_id else tool.tool == name:
                tool.result = ToolResult(call_id=call_id or "", status="error" if failed else "ok", size=size)
                self._waiting.remove(tool)
                return

    def grounded(self, index: int, grounding: Raw, pages: Raw) -> None:
        """What a candidate says of its sources."""
        if grounding:
            queries: _Grounding = jsontext.split(grounding, _grounding) or _Grounding()
            for member, name in _SEARCHES.items():
                if len(text := getattr(queries, member)) > len(b"[]") and bytes(text) != b"null":
                    self._searches[index, name] = jsontext.raw_text(text)
            # What was asked for stands nowhere.
            for member, name in _FOUND.items():
                if any(getattr(source, member) for source in queries.grounding_chunks):
                    self._searches.setdefault((index, name), "")
        if pages:
            listed = as_list(as_dict(value_of(pages)).get("urlMetadata"))
            self._pages[index] = [_page(as_dict(page)) for page in listed]

    def with_searches(self, tools: list[ToolFact]) -> list[ToolFact]:
        """The tools, and after them those that only the sources tell of."""
        found = [
            ToolFact(tool=name, input=text, kind="server")
            for (index, name), text in self._searches.items()
            if not any(shown.startswith(name) for shown in self._shown)
            and not (name == "file_search" and (index, "retrieval") in self._searches)
        ]
        if "url_context" not in self._shown:
            found += [page for pages in self._pages.values() for page in pages]
        return tools + found


def _page(page: dict[str, Any]) -> ToolFact:
    """A page, and how fetching it went; its size is not told."""
    status = as_str(page.get("urlRetrievalStatus"))
    failed = status is not None and status.removeprefix("URL_RETRIEVAL_STATUS_") not in ("SUCCESS", "UNSPECIFIED")
    return ToolFact(
        tool="url_context",
        input=as_str(page.get("retrievedUrl")) or "",
        kind="server",
        error=status if failed else None,
        metadata={"status": status} if status else {},
    )
