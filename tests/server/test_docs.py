"""The examples of docs/api.md work as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from aitap.server.endpoints import ENDPOINTS
from tests.commands import code_blocks
from tests.server.site import Site

TEXT = Path(__file__).parents[2].joinpath("docs", "api.md").read_text("utf-8")
EXAMPLES = [
    line.removeprefix("$ ")
    for language, block in code_blocks(TEXT)
    if language == "console"
    for line in block.splitlines()
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_is_answered(shared: Site, line: str, tmp_path: Path) -> None:
    words = shlex.split(line.replace("127.0.0.1:8088", f"127.0.0.1:{shared.port}"))
    if "$KEY" in line:
        key = shared.user("documented")
        words = [word.replace("$KEY", key) for word in words]
    done = subprocess.run([*words, "--fail", "--silent", "--noproxy", "*"], capture_output=True, check=True)
    assert msgspec.json.decode(done.stdout)


def test_the_error_that_is_shown_is_the_one_that_is_given(shared: Site) -> None:
    (shown,) = (msgspec.json.decode(block) for language, block in code_blocks(TEXT) if language == "json")
    assert shared.get("/api/v2/ai-gateway/sessions?q=x").json == shown


def test_every_endpoint_is_told_of() -> None:
    told = set(re.findall(r"`(/[a-z{}_/-]+)`", TEXT))
    assert {endpoint.path for endpoint in ENDPOINTS} <= told
