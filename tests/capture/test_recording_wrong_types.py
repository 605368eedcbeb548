"""Every field of every exchange, of a type that it never has: nothing raises, and the record ends."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from aitap.capture.wire.eventstream import EventStreamParser
from tests.capture.dialogues import DIALOGUES, Dialogue
from tests.capture.exchanges import ended
from tests.capture.framing import EVENT_STREAM, frame, text_header
from tests.capture.making import dump, record

TIMES = int(os.environ.get("AITAP_TEST_WRONG_TYPES", "3"))
"""How many wrong values each field gets; there are some dozen."""
WRONG: tuple[Any, ...] = (
    *(None, True, -1, 2**70, 0.5, 1e300, float("nan"), "", "x", "\ud800", "\0", [], {}, [None], ["x"], [[]], [{}]),
    *({"": None}, {"type": ["x"]}, {"text": {}}, {"json": 2**70}, "y" * 70_000),
)

Place = tuple[str | int, ...]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where the fields of a JSON value are, the value itself first."""
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*place, key))


def put(value: Any, place: Place, wrong: Any) -> Any:
    """A copy of the value with something else in that place."""
    if not place:
        return wrong
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = put(copy[place[0]], place[1:], wrong)
    return copy


def damaged(value: Any, seen: set[Any], start: int) -> Iterator[bytes]:
    """The JSON of the value with one wrong field, for each that was not seen yet in this form."""
    for number, place in enumerate(places(value), start):
        form = tuple("*" if isinstance(key, int) else key for key in place)
        if form not in seen:
            seen.add(form)
            for time in range(TIMES):
                yield json.dumps(put(value, place, WRONG[(number + time) % len(WRONG)])).encode()


def events(dialogue: Dialogue) -> Iterator[bytes]:
    """The stream with one wrong field in one of its events, for each field of each kind of event."""
    forms: dict[str, set[Any]] = {}
    for index, piece in enumerate(dialogue.stream):
        if dialogue.content_type == EVENT_STREAM:
            ((kind, data),) = EventStreamParser().feed(piece)
            inner = base64.b64decode(json.loads(data)["bytes"]) if kind == b"chunk" else data
        else:
            kind, _, inner = piece.rpartition(b"data: ")
        if not inner.strip().startswith((b"{", b"[{")):
            continue
        value = json.loads(inner)
        seen = forms.setdefault(f"{kind!r} {sorted(value) if isinstance(value, dict) else ''}", set())
        for wrong in damaged(value, seen, index):
            if dialogue.content_type != EVENT_STREAM:
                new = kind + b"data: " + wrong + b"\n\n" if kind else wrong + b"\n"
            elif kind == b"chunk":
                header = text_header(":event-type", "chunk") + text_header(":message-type", "event")
                new = frame(header, dump({"bytes": base64.b64encode(wrong).decode()}))
            else:
                header = text_header(":event-type", kind.decode()) + text_header(":message-type", "event")
                new = frame(header, wrong)
            yield b"".join((*dialogue.stream[:index], new, *dialogue.stream[index + 1 :]))


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=[dialogue.api for dialogue in DIALOGUES])
def test_a_field_of_a_wrong_type_raises_nothing(dialogue: Dialogue) -> None:
    whole, stream = dump(dialogue.whole), b"".join(dialogue.stream)
    seen: set[Any] = set()
    for start, body in enumerate((dialogue.again, dialogue.ask)):
        for wrong in damaged(body, seen, start):
            ended(record(dialogue.api, wrong, stream, content_type=dialogue.content_type, capture="full"))
    for wrong in damaged(dialogue.whole, set(), 3):
        ended(record(dialogue.api, dialogue.ask, wrong, content_type="application/json", capture="full"))
    for wrong in events(dialogue):
        ended(record(dialogue.api, dialogue.ask, wrong, content_type=dialogue.content_type, capture="full"))
    assert record(dialogue.api, dialogue.ask, whole, content_type="application/json").outcome == "completed"
    assert record(dialogue.api, dialogue.ask, stream, content_type=dialogue.content_type).outcome == "completed"
