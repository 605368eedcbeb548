"""Loaded into mitmdump beside the addon, and by it into the recorder: breaks the part that ``TEST_FAULT`` names."""

from __future__ import annotations

import os
from typing import Any

from aitap.capture import line, recording, relay
from aitap.capture.response import ResponseBody
from aitap.storage.writer import Writer

PLACES: dict[str, tuple[Any, str]] = {
    "hook": (relay.RelayedExchange, "begin"),
    "tap": (relay, "now"),
    "prompt": (recording, "find_prompt"),
    "decoder": (ResponseBody, "feed"),
    "submit": (Writer, "submit"),
}


def _fail(*arguments: Any, **named: Any) -> None:
    raise RuntimeError("injected fault")


place, name = PLACES[os.environ["TEST_FAULT"]]
assert callable(getattr(place, name)), "this part has another name by now"
setattr(place, name, _fail)

assert line._CHILD.count("from aitap.capture.serving import main;") == 1, "the recorder is started in another way"
line._CHILD = line._CHILD.replace("from aitap", "import tests.proxy.fault; from aitap")
