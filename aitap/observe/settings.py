"""What the recorder process must know to tell of its records, and whether it can be had here.

Credentials of a collector are no setting: they are in the standard ``OTEL_*`` variables, which the recorder
inherits from the proxy.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aitap.settings import METRICS_LINE, LogFormat, SettingsError, TraceNames

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.settings import Settings

__all__ = ["ObserveSettings", "observe_settings"]


class ObserveSettings(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The settings of the same names."""

    structured_logging: bool = False
    log_format: LogFormat = "json"
    log_to: str = "stderr"
    log_size: int = 0
    log_files: int = 0
    metrics_listen: tuple[str, int] | None = None
    metrics_line: int | None = None
    """Instead of listening there: the descriptor of a line to the parent of several workers, which does."""
    metrics_otlp: bool = False
    metrics_compatible: bool = False
    trace_enable: bool = False
    trace_logs: bool = False
    trace_names: TraceNames = "genai"

    @property
    def metrics(self) -> bool:
        """Whether anybody asks for metrics."""
        return self.metrics_listen is not None or self.metrics_otlp


def observe_settings(settings: Settings, environ: Mapping[str, str] = os.environ) -> ObserveSettings:
    """Those of all settings that concern the telling.

    What the standard variables switch off (``OTEL_SDK_DISABLED``, ``OTEL_TRACES_EXPORTER=none`` and its kin) is off.
    Raises :class:`SettingsError` where what is asked for is not installed or contradicts itself.
    """
    if settings.trace_logs and not settings.trace_enable:
        raise SettingsError("trace_logs = true puts log lines into traces: set trace_enable = true, too")
    wanting = {
        "trace_enable": settings.trace_enable,
        "metrics_otlp": settings.metrics_otlp,
        "log_to = otlp": settings.structured_logging and settings.log_to == "otlp",
    }
    for name, wanted in wanting.items():
        if wanted and not _has_opentelemetry():
            raise SettingsError(f"{name} needs OpenTelemetry: pip install 'aitap[otel]'")
    if settings.structured_logging and settings.log_to not in ("stderr", "otlp"):
        folder = Path(settings.log_to).expanduser().absolute().parent
        if not folder.is_dir():
            raise SettingsError(f"log_to = {settings.log_to!r}: there is no folder {folder}; make it first")
    names = [name for name in ObserveSettings.__struct_fields__ if name != "metrics_line"]
    found = ObserveSettings(**{name: getattr(settings, name) for name in names})
    line = environ.get(METRICS_LINE, "")
    return msgspec.structs.replace(
        found,
        metrics_line=int(line) if line.isdecimal() else None,
        trace_enable=found.trace_enable and _exported("traces", environ),
        metrics_otlp=found.metrics_otlp and _exported("metrics", environ),
        structured_logging=found.structured_logging and (found.log_to != "otlp" or _exported("logs", environ)),
    )


def _exported(signal: str, environ: Mapping[str, str]) -> bool:
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not disabled and environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() != "none"


def _has_opentelemetry() -> bool:
    try:
        return all(find_spec(f"opentelemetry.{name}") for name in ("sdk", "exporter.otlp.proto.http"))
    except ModuleNotFoundError:
        return False
