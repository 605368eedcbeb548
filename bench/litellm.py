"""LiteLLM's proxy as one more variant, with its logging on: what it costs to record the same traffic there.

It is not installed with this project. Who wants the comparison makes a virtual environment for it (:data:`HOW`) that is
then found, or named with ``--litellm``; without one the bench says so and goes on.

It is set up to its advantage wherever there is a choice: one process as its documentation recommends for one core, no
debugging, errors alone on its console, clients that speak plain HTTP to it (no TLS handshake, none of its cost), kept
connections, no key to check, no database. Logging is what its documentation calls a custom callback: for each answered
request, one line of JSON with the ``standard_logging_object`` (request, answer, usage, cost) is appended to a file that
stays open.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["CASES", "HOW", "SHARE", "TARGETS", "command", "environment", "found", "prepare", "recorded"]

CASES = ("json", "sse50")
"""What it is measured with: both sides read and relay it."""
TARGETS = {"json": 9.0, "sse50": 5.0}
"""How many times its requests a second are wanted."""
MODEL = "claude-opus-5-5"
"""The one that the requests of these cases name."""
SHARE = 8
"""It is given this part of the requests that fill a slice of mitmdump, or it alone would take most of the time."""
PLACE = Path(__file__).parent.parent / ".venv-litellm"
HOW = "python3 -m venv .venv-litellm && .venv-litellm/bin/pip install 'litellm[proxy]'"

_CONFIG = """\
model_list:
  - model_name: {model}
    litellm_params:
      model: anthropic/{model}
      api_base: https://127.0.0.1:{upstream}
      api_key: sk-ant-bench
litellm_settings:
  callbacks: bench_callback.recorder
  ssl_verify: false
  num_retries: 0
  telemetry: false
general_settings:
  forward_client_headers_to_llm_api: true
  dangerously_permit_weak_or_unset_master_key: true
"""
_CALLBACK = """\
import json

from litellm.integrations.custom_logger import CustomLogger


class Recorder(CustomLogger):
    def __init__(self):
        super().__init__()
        self.file = open("litellm.jsonl", "a", buffering=1)

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.file.write(json.dumps(kwargs["standard_logging_object"], default=str) + "\\n")


recorder = Recorder()
"""


def found(named: Path | None) -> Path | None:
    """The ``litellm`` command of a virtual environment, of its ``python``, or of the usual place; None without one.

    Raises ``FileNotFoundError``, in one line, where the environment that was named has none.
    """
    place = named or PLACE
    for folder in (place / "bin", place.parent, place):
        if (folder / "litellm").is_file():
            return (folder / "litellm").absolute()
    if named is not None:
        raise FileNotFoundError(f"there is no LiteLLM in {named}; make an environment with: {HOW}")
    return None


def prepare(folder: Path, upstream: int) -> None:
    """Write configuration and callback into ``folder``, in which it is to be started."""
    (folder / "litellm.yaml").write_text(_CONFIG.format(upstream=upstream, model=MODEL), encoding="utf-8")
    (folder / "bench_callback.py").write_text(_CALLBACK, encoding="utf-8")


def command(program: Path, port: int) -> list[str]:
    """What starts it in a prepared folder."""
    listen = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--keepalive_timeout", "600"]
    return [str(program), "--config", "litellm.yaml", *listen]


def environment() -> dict[str, str]:
    """Ours, without what would have it ask the internet or talk."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AITAP_", "LITELLM_", "DATABASE"))
    }
    return kept | {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}


def recorded(folder: Path) -> int:
    """How many answered requests it has written down."""
    try:
        with (folder / "litellm.jsonl").open("rb") as file:
            return sum(1 for _ in file)
    except FileNotFoundError:
        return 0
