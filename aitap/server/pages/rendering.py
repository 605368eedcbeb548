"""Templates become pages, and pages responses that keep a browser from running or loading anything that is not ours."""

from __future__ import annotations

import functools
import gzip
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
from starlette.responses import Response

from aitap.server.pages.words import FILTERS, address

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ASSETS", "asset_response", "html_response", "rendered"]

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Accept-Encoding, Cookie",
}
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_WORTH_PACKING = 1024


def _assets() -> dict[str, tuple[str, bytes]]:
    found = {}
    for entry in files("aitap.server.pages").joinpath("static").iterdir():
        stem, _, ending = entry.name.rpartition(".")
        if ending in _TYPES:
            data = entry.read_bytes()
            found[f"{stem}-{hashlib.sha256(data).hexdigest()[:12]}.{ending}"] = (entry.name, data)
    return found


ASSETS = _assets()
"""The style sheet and the script, by a name that says what is in them: original name and bytes."""


_METHODS = frozenset(dir(dict))


class _Environment(jinja2.Environment):
    """Jinja's, which looks for an attribute of a dict before its item: most of what is shown are items of dicts."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """The same value, without an exception for each."""
        if type(obj) is dict and attribute in obj and attribute not in _METHODS:
            return obj[attribute]
        return super().getattr(obj, attribute)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = _Environment(
        # Whatever the ending, and with nothing that could switch it off.
        autoescape=True,
        auto_reload=False,
        loader=jinja2.PackageLoader("aitap.server.pages"),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    # A browser's word is our own: nothing may mark data as markup.
    del environment.filters["safe"]
    environment.filters.update(FILTERS)
    environment.globals.update(address=address, asset={name: f"/static/{mark}" for mark, (name, _) in ASSETS.items()})
    return environment


def rendered(template: str, values: Mapping[str, Any], *, accepts_gzip: bool) -> tuple[bytes, bool]:
    """The page, and whether it was packed. It takes a while for a long one: not for the event loop."""
    data = _environment().get_template(template).render(values).encode("utf-8", "replace")
    if accepts_gzip and len(data) >= _WORTH_PACKING:
        return gzip.compress(data, 5, mtime=0), True
    return data, False


def html_response(
    data: bytes, status: int = 200, headers: Mapping[str, str] | None = None, *, is_packed: bool = False
) -> Response:
    """A response with this page."""
    encoding = {"Content-Encoding": "gzip"} if is_packed else {}
    return Response(data, status, {**_HEADERS, **encoding, **(headers or {})}, "text/html; charset=utf-8")


def asset_response(mark: str, *, accepts_gzip: bool) -> Response | None:
    """The style sheet or script of this name; None where there is none."""
    if mark not in ASSETS:
        return None
    name, data = ASSETS[mark]
    headers = dict(_FOR_EVER)
    if accepts_gzip:
        data = gzip.compress(data, 9, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(data, 200, headers, _TYPES[name.rpartition(".")[2]] + "; charset=utf-8")
