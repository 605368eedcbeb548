"""Whether a function of mitmproxy is still the one that was read when its shorter way was written.

What is in this package stands for code of mitmproxy's, and promises to do the same. Where that code is another (a
newer mitmproxy, a patch, no source beside it), nobody has compared the two, and mitmproxy's own stays in force.
"""

from __future__ import annotations

import inspect
import logging
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["READ", "checksum", "name_of", "unknown"]

logger = logging.getLogger(__name__)

READ: dict[str, frozenset[int]] = {
    "mitmproxy.addonmanager.AddonManager._iter_hooks": frozenset((0x4140B9CB,)),
    "mitmproxy.addonmanager.AddonManager.handle_lifecycle": frozenset((0xB10BDA77,)),
    "mitmproxy.addonmanager.AddonManager.invoke_addon": frozenset((0x9F0F0762,)),
    "mitmproxy.addonmanager.AddonManager.trigger_event": frozenset((0xE54829A9,)),
    "mitmproxy.addonmanager.cut_traceback": frozenset((0x202FF418,)),
    "mitmproxy.addonmanager.safecall": frozenset((0x5F34BA25,)),
    "mitmproxy.addonmanager.traverse": frozenset((0xF90F779B,)),
    "mitmproxy.addons.asgiapp.ASGIApp.request": frozenset((0x87B72190,)),
    "mitmproxy.addons.asgiapp.ASGIApp.should_serve": frozenset((0xEC059F4B,)),
    "mitmproxy.addons.maplocal.MapLocal.request": frozenset((0x4B77CB66,)),
    "mitmproxy.coretypes.multidict._MultiDict.__getitem__": frozenset((0x1AAF9AB2,)),
    "mitmproxy.coretypes.multidict._MultiDict.get_all": frozenset((0xBEBF6DEB,)),
    "mitmproxy.http.Headers._kconv": frozenset((0x4C049B85,)),
    "mitmproxy.http.Headers._reduce_values": frozenset((0xA67635FE,)),
    "mitmproxy.http.Headers.get_all": frozenset((0x943AD8B4,)),
    "mitmproxy.http.MessageData.__post_init__": frozenset((0xB728B955,)),
    "mitmproxy.http._always_bytes": frozenset((0xBCBDFFD4,)),
    "mitmproxy.http._native": frozenset((0xEA5133B6,)),
    "mitmproxy.log.LegacyLogEvents.emit": frozenset((0xE8C82E80,)),
    "mitmproxy.optmanager.OptManager.__getattr__": frozenset((0x5D529E15,)),
    "mitmproxy.optmanager._Option.current": frozenset((0x17E0D092,)),
    "mitmproxy.proxy.context.Context.__init__": frozenset((0xA08A6262,)),
    "mitmproxy.proxy.context.Context.fork": frozenset((0x0B67AA5F,)),
    "mitmproxy.proxy.layer.Layer.handle_event": frozenset((0x9CE4DF8E,)),
    "mitmproxy.proxy.layers.http.HttpLayer._handle_event": frozenset((0x685561F6,)),
    "mitmproxy.proxy.layers.http.HttpLayer.event_to_child": frozenset((0x2BB867FB,)),
    "mitmproxy.proxy.layers.tls.TLSLayer.receive_data": frozenset((0xF47D1A47, 0xD930798E)),
    "mitmproxy.proxy.layers.tls.TLSLayer.tls_interact": frozenset((0x5E39A051,)),
    "mitmproxy.proxy.mode_servers.ProxyConnectionHandler.handle_hook": frozenset((0x0CFDB8DE,)),
    "mitmproxy.proxy.server.ConnectionHandler.hook_task": frozenset((0x164B28BB,)),
    "mitmproxy.proxy.server.ConnectionHandler.server_event": frozenset((0x9701178E, 0x1A5F0749)),
    "mitmproxy.utils.strutils.always_bytes": frozenset((0x0F58213D,)),
    "mitmproxy.utils.typecheck.check_option_type": frozenset((0x37FC95DC,)),
}
"""The CRC-32 of each function's text, as mitmproxy 11.0.2 and 12.2.3 have it."""


def checksum(function: Any) -> int | None:
    """The CRC-32 of the text of a function; None where there is no text."""
    try:
        return zlib.crc32(inspect.getsource(function).encode())
    except (OSError, TypeError):
        return None


def name_of(function: Any) -> str:
    """By what :data:`READ` knows a function."""
    function = inspect.unwrap(function)
    return f"{getattr(function, '__module__', None)}.{getattr(function, '__qualname__', None)}"


def unknown(functions: Iterable[Any]) -> list[str]:
    """Those of the functions that are not as they were read, by name."""
    return [
        name_of(function)
        for function in functions
        if checksum(function) not in READ.get(name_of(function), frozenset())
    ]
