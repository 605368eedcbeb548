"""Loaded into mitmdump beside the addon: breaks the part of it that ``TEST_FAULT`` names."""

from __future__ import annotations

import os
from typing import Any

from aitap.capture import recording
from aitap.capture.pipeline import Exchange, Pipeline
from aitap.capture.response import ResponseBody
from aitap.storage.writer import Writer

_put = Pipeline.put


def _fail(*arguments: Any, **named: Any) -> None:
    raise RuntimeError("injected fault")


def _fail_in_the_tap(pipeline: Pipeline, item: tuple[Any, Any, float]) -> None:
    if isinstance(item[1], bytes):
        raise RuntimeError("injected fault")
    _put(pipeline, item)


PLACES: dict[str, tuple[Any, str, Any]] = {
    "hook": (Exchange, "begin", _fail),
    "tap": (Pipeline, "put", _fail_in_the_tap),
    "prompt": (recording, "find_prompt", _fail),
    "decoder": (ResponseBody, "feed", _fail),
    "submit": (Writer, "submit", _fail),
}
setattr(*PLACES[os.environ["TEST_FAULT"]])
