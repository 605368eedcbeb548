"""The load balancers' examples are read by the real ones; tests/proxy/test_scale_out.py sends traffic through them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs HAProxy")
def test_haproxy_takes_the_example_as_it_is() -> None:
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(DEPLOY / "haproxy.cfg")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr


def test_both_name_the_same_proxies_and_tell_them_who_connects() -> None:
    haproxy, nginx = (DEPLOY.joinpath(name).read_text("utf-8") for name in ("haproxy.cfg", "nginx.conf"))
    proxies = [re.findall(r"server (?:\w+ )?(10\.0\.0\.\d+:8080)", text) for text in (haproxy, nginx)]
    assert proxies[0] == proxies[1] == ["10.0.0.11:8080", "10.0.0.12:8080"]
    assert "send-proxy-v2" in haproxy
    assert "proxy_protocol on;" in nginx
