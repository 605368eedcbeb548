"""Whom the proxy trusts on its way to providers."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from aitap.access.egress.roots import write_roots
from aitap.certs.authority import certificates
from aitap.certs.bundle import system_roots
from aitap.settings import SettingsError
from tests.proxy.company import CompanyCA


def test_the_usual_roots_this_machines_and_the_companys_are_trusted_together(tmp_path: Path) -> None:
    ca = CompanyCA(tmp_path)
    written = set(certificates(write_roots(tmp_path / "confdir", str(ca.path)).read_bytes()))
    assert set(certificates(Path(certifi.where()).read_bytes())) <= written
    assert set(system_roots()) <= written
    assert set(certificates(ca.path.read_bytes())) <= written


def test_a_file_that_mitmproxy_was_given_stands_for_the_usual_roots(tmp_path: Path) -> None:
    ca = CompanyCA(tmp_path)
    (tmp_path / "other").mkdir()
    other = CompanyCA(tmp_path / "other")
    written = certificates(write_roots(tmp_path, str(ca.path), str(other.path)).read_bytes())
    assert written == certificates(other.path.read_bytes()) + certificates(ca.path.read_bytes())


def test_a_folder_that_cannot_be_written_is_no_hindrance(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    path = write_roots(file / "confdir", "")
    assert certificates(path.read_bytes())


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_without_a_certificate_is_said_in_one_line(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match="upstream_ca = ") as caught:
        write_roots(tmp_path, str(path))
    assert "\n" not in str(caught.value)
