"""What holds for every test: nothing of the user's own configuration or data is read or written."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest

# A shell starts what it puts into the background with these ignored, and children inherit that: the tests send them.
for _number in (signal.SIGINT, signal.SIGHUP) if os.name == "posix" else ():
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


# On a server the same examples each time, and fewer: a failure there is one of the change, not of the draw.
_on_server = bool(os.environ.get("CI"))
hypothesis.settings.register_profile(
    "aitap", deadline=None, print_blob=True, derandomize=_on_server, max_examples=25 if _on_server else 100
)
hypothesis.settings.load_profile("aitap")


@pytest.fixture(scope="session", autouse=True)
def _nobody_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of the tests' own, without the settings and proxies of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name in os.environ:
            if name.startswith(("AITAP_", "XDG_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("USERPROFILE", str(home))
        yield
