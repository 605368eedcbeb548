"""``aitap run --workers``: what is refused before anything starts."""

from __future__ import annotations

import pytest

from aitap.export.failures import Failure
from aitap.export.run_workers import check_options, told_options


@pytest.mark.parametrize(
    "words",
    [("-wfile",), ("-w", "file"), ("--client-replay", "file"), ("--set", "save_stream_file=file"), ("--set=rfile=x",)],
)
def test_what_several_processes_would_do_several_times_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(Failure, match=r"2 workers cannot .*; leave it out, or leave out --workers"):
        check_options(2, words)


def test_what_each_of_them_can_do_is_not() -> None:
    check_options(2, ("--flow-detail", "1", "--set", "aitap_retention=30d", "-s", "script.py", "~u x"))


def test_settings_behind_the_dashes_are_known_to_the_parent() -> None:
    told = told_options(["--set", "aitap_auth=none", "-q", "--set=aitap_metrics_listen=127.0.0.1:9464"])
    assert told == {"aitap_auth": "none", "aitap_metrics_listen": "127.0.0.1:9464"}
