"""Loaded into mitmdump beside the addon: breaks the part of it that ``TEST_FAULT`` names."""

from __future__ import annotations

import os
from typing import Any

from aitap.capture import exchange, recording
from aitap.capture.response import ResponseBody
from aitap.storage.writer import Writer

PLACES: dict[str, tuple[Any, str]] = {
    "hook": (exchange.Exchange, "begin"),
    "tap": (exchange, "now"),
    "prompt": (recording, "find_prompt"),
    "decoder": (ResponseBody, "feed"),
    "submit": (Writer, "submit"),
}


def _fail(*arguments: Any, **named: Any) -> None:
    raise RuntimeError("injected fault")


place, name = PLACES[os.environ["TEST_FAULT"]]
assert callable(getattr(place, name)), "this part has another name by now"
setattr(place, name, _fail)
