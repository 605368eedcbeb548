"""Looking up a header, reading an option, making a message: what mitmproxy does dozens of times a request.

The answers are those of mitmproxy's own methods, which are asked as ever wherever a value is not of the exact type
that all but a few are. A header is looked up by comparing bytes of the same length, where mitmproxy makes each name
of the message lower-case twice; an option that cannot be changed by who reads it is not copied; the fields of a
message have their types compared, without putting the complaint into words before there is one to make.
"""

from __future__ import annotations

import types
import typing
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from mitmproxy import http
from mitmproxy.coretypes import multidict
from mitmproxy.http import Headers, MessageData, RequestData, ResponseData
from mitmproxy.optmanager import OptManager, _Option, unset
from mitmproxy.proxy.context import Context
from mitmproxy.utils import strutils, typecheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aitap.access.grafts import Grafts

__all__ = ["fork_contexts", "look_up_headers", "make_messages", "read_options"]


# Headers

HEADERS = (
    http._always_bytes,
    http._native,
    Headers._kconv,
    Headers._reduce_values,
    Headers.get_all,
    multidict._MultiDict.__getitem__,
    multidict._MultiDict.get_all,
    strutils.always_bytes,
)


def look_up_headers(grafts: Grafts) -> None:
    """Find what a header says, and whether it is there."""

    def get(original: Any) -> Any:
        def get(self: Any, key: Any, default: Any = None) -> Any:
            if self.__class__ is not Headers or key.__class__ not in _NAMES:
                return original(self, key, default)
            found = _values(self.fields, key)
            return _folded(found) if found else default

        return get

    def getitem(original: Any) -> Any:
        def getitem(self: Any, key: Any) -> Any:
            if self.__class__ is not Headers or key.__class__ not in _NAMES:
                return original(self, key)
            found = _values(self.fields, key)
            if not found:
                raise KeyError(key)
            return _folded(found)

        return getitem

    def contains(original: Any) -> Any:
        def contains(self: Any, key: Any) -> bool:
            if self.__class__ is not Headers or key.__class__ not in _NAMES:
                found: bool = original(self, key)
                return found
            return bool(_values(self.fields, key))

        return contains

    grafts.put(Headers, "get", get)
    grafts.put(Headers, "__getitem__", getitem)
    grafts.put(Headers, "__contains__", contains)


_NAMES: frozenset[type] = frozenset((str, bytes))


def _values(lines: Iterable[tuple[bytes, bytes]], key: Any) -> list[bytes]:
    name = (key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key).lower()
    size = len(name)
    return [value for known, value in lines if len(known) == size and known.lower() == name]


def _folded(values: list[bytes]) -> str:
    if len(values) == 1:
        return values[0].decode("utf-8", "surrogateescape")
    return ", ".join([value.decode("utf-8", "surrogateescape") for value in values])


# Options

OPTIONS = (OptManager.__getattr__, _Option.current)

_UNCHANGING = frozenset((bool, int, float, str, types.NoneType))


def read_options(grafts: Grafts) -> None:
    """Give an option's value as it is where it is of a type that cannot be changed."""

    def getattr_(original: Any) -> Any:
        def value_of(self: OptManager, name: str) -> Any:
            option = self.__dict__["_options"].get(name) if "_options" in self.__dict__ else None
            if option.__class__ is _Option:
                value = option.value
                if value is unset:
                    value = option._default
                if value.__class__ in _UNCHANGING:
                    return value
            return original(self, name)

        return value_of

    grafts.put(OptManager, "__getattr__", getattr_)


# Messages

MESSAGES = (getattr(MessageData, "__post_init__", None), typecheck.check_option_type)  # it has none under ``python -O``


def make_messages(grafts: Grafts) -> None:
    """Take a message whose fields have the types they should without a word; mitmproxy judges any other."""
    fitting = {kind: _types(kind) for kind in (RequestData, ResponseData)}

    def post_init(original: Any) -> Any:
        def checked(self: Any) -> None:
            values = self.__dict__
            for name, allowed in fitting.get(self.__class__, _NOTHING):
                if values[name].__class__ not in allowed:
                    original(self)
                    return

        return checked

    grafts.put(MessageData, "__post_init__", post_init)


_NOTHING = (("http_version", frozenset[type]()),)
"""No type fits: for classes that are not mitmproxy's."""


def _types(kind: Any) -> tuple[tuple[str, frozenset[type]], ...]:
    found = []
    for field in fields(kind):
        union = typing.get_origin(field.type) in (typing.Union, types.UnionType)
        allowed = typing.get_args(field.type) if union else (field.type,)
        found.append((field.name, frozenset(one for one in allowed if isinstance(one, type))))
    return tuple(found)


# Contexts

CONTEXTS: tuple[Callable[..., Any], ...] = (Context.__init__, Context.fork)


def fork_contexts(grafts: Grafts) -> None:
    """Make the context of a stream without the server that mitmproxy makes for it, and takes away again."""

    def fork(original: Any) -> Any:
        def forked(self: Any) -> Any:
            if self.__class__ is not Context:
                return original(self)
            context = Context.__new__(Context)
            context.client, context.options, context.server = self.client, self.options, self.server
            context.layers = self.layers.copy()
            return context

        return forked

    grafts.put(Context, "fork", fork)
