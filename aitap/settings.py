"""Every setting, defined once.

A field of :class:`Settings` is at the same time the mitmproxy option ``aitap_<name>``, the
environment variable ``AITAP_<NAME>``, the key ``<name>`` in ``aitap.toml`` and the default; that is
also the order in which they are asked. A name nobody knows is an error that says which one is near.
``providers``, ``rules``, ``addresses``, ``prices`` and ``redactions`` alone are no text: a user's own rows of the
provider table, the rules of the policy, who comes from which network, what models cost and what is redacted, which only
the file can give.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aitap.redaction.rows import choice
from aitap.setting_tables import TABLES, TableError, taken_from
from aitap.setting_values import (
    address,
    boolean,
    count,
    database_url,
    duration,
    folder_path,
    networks,
    one_of,
    ports,
    size,
    web_url,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from ipaddress import IPv4Network, IPv6Network

    from aitap.access.authentication.address_table import AddressRow
    from aitap.access.policy.policy_rows import PolicyRow
    from aitap.capture.provider_rows import ProviderRow
    from aitap.prices.own_prices import OwnPrice
    from aitap.record import CaptureMode
    from aitap.redaction.rows import OwnRule

__all__ = [
    "METRICS_LINE",
    "SETTINGS",
    "Settings",
    "SettingsError",
    "check_options",
    "config_file",
    "data_folder",
    "duration",
    "load",
]


class SettingsError(ValueError):
    """A setting is unknown or has a value it cannot have. The text is one line that says what to do."""


Auth = Literal["auto", "required", "none"]
Durability = Literal["normal", "strict"]
SpoolSync = Literal["batch", "never"]
Decrypt = Literal["all", "providers", "observe"]
PolicyMode = Literal["off", "warn", "enforce"]
BudgetsMode = Literal["off", "warn", "enforce"]
LogFormat = Literal["json", "logfmt", "human"]
TraceNames = Literal["genai", "reference"]

METRICS_LINE = "AITAP_METRICS_LINE"
"""What the parent of several workers tells them: the descriptor over which they tell it what they count."""

_NO_SETTINGS = {"AITAP_CONFIG", "AITAP_PROXY", METRICS_LINE}
"""Variables that say where the settings are, which proxy a client is set up for, and what we tell ourselves."""


def data_folder() -> Path:
    """Where this user's data lives by the customs of the operating system."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local").expanduser() / "aitap"
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/aitap").expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "aitap"


def config_folder() -> Path:
    """Where this user's configuration lives by the customs of the operating system."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or "~/AppData/Roaming").expanduser() / "aitap"
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/aitap").expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "aitap"


def _setting(default: Any, help: str, parse: Callable[[str], Any] = str) -> Any:
    """``default`` is written as a user would write it, so that it goes through ``parse`` like any other value."""
    return dataclasses.field(default=None, metadata={"text": default, "help": help, "parse": parse})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings in force. Made by :func:`load`, never by hand."""

    database_url: str = _setting(
        lambda: f"sqlite:///{data_folder() / 'aitap.db'}",
        "Where records go: sqlite:////absolute/path.db, or postgresql://user:password@host/name.",
        database_url,
    )
    retention: float = _setting(
        "60d", "How long records are kept: a number with h, d or w; 0 keeps them for ever.", duration
    )
    capture: CaptureMode = _setting(  # noqa: RUF009 - makes a field, as for the others
        "metadata+prompt",
        "What is kept of texts: minimal (no prompt, tool input or thought), metadata+prompt, or full (also the "
        "conversation itself: answers, tool results, system prompt, with whatever secrets were said in it).",
        one_of("minimal", "metadata+prompt", "full"),
    )
    redact: tuple[str, ...] = _setting(
        "off",
        "What is taken out of texts before they are stored: off, or of secrets, personal (or all) and names of rules, "
        "separated by commas; -NAME leaves a rule out.",
        choice,
    )
    content_retention: float = _setting(
        "0", "How long the contents that capture = full keeps live; 0 keeps them as long as their records.", duration
    )
    audit_retention: float = _setting(
        "365d", "How long it is kept who was shown whose records; 0 keeps it for ever.", duration
    )
    tamper_evidence: bool = _setting(
        "false",
        "Whether all records are chained and signed, so that `aitap verify` finds what was changed past aitap.",
        boolean,
    )
    tamper_evidence_key: str = _setting(
        "", "The file of the key that signs; where none is given, aitap-evidence.pem beside the CA."
    )
    flush_interval: float = _setting(
        "100ms", "The longest time a finished record waits in memory before it is written.", duration
    )
    spool: Path = _setting(  # noqa: RUF009
        lambda: str(data_folder() / "spool"),
        "The folder where records wait while the database does not take them.",
        folder_path,
    )
    spool_limit: int = _setting(
        "1g", "The most room that each proxy's spool takes, such as 1g; beyond, records are lost.", size
    )
    spool_sync: SpoolSync = _setting(  # noqa: RUF009
        "batch",
        "Whether the spool is forced onto the disk: with each batch, or never (a power cut then costs what the "
        "system had not written yet; a killed process costs nothing either way).",
        one_of("batch", "never"),
    )
    durability: Durability = _setting(  # noqa: RUF009
        "normal",
        "What becomes of calls that cannot be recorded: normal lets them pass and counts what is lost; strict sends "
        "a call on only when its record is in the database or the spool, and refuses it (503) otherwise.",
        one_of("normal", "strict"),
    )
    auth: Auth = _setting(  # noqa: RUF009
        "auto",
        "Whether clients need a proxy key: required, none, or auto: none while listening on loopback only, else "
        "required.",
        one_of("auto", "required", "none"),
    )
    coder_url: str = _setting("", "A Coder deployment whose session tokens count as proxy keys: its address.", web_url)
    htpasswd: str = _setting("", "A file of Apache's htpasswd, whose users and passwords count as proxy keys.")
    decrypt: Decrypt = _setting(  # noqa: RUF009
        "providers",
        "What is decrypted: providers (AI hosts alone), all, or observe (nothing; who talks to which AI host is "
        "still listed).",
        one_of("all", "providers", "observe"),
    )
    allow_ports: frozenset[int] = _setting("443,80", "Ports that clients may connect to.", ports)
    proxy_protocol: tuple[IPv4Network | IPv6Network, ...] = _setting(
        "",
        "Load balancers whose PROXY protocol says who connects: addresses or networks, separated by commas.",
        networks,
    )
    allow_private: tuple[str, ...] = _setting(
        "",
        "Private addresses that clients may reach: names, addresses or networks, each with or without :port, "
        "separated by commas; or all.",
        words,
    )
    upstream: str = _setting(
        "", "A proxy to go through: http://user:password@host:port, or https://. Best given by environment or file."
    )
    upstream_ca: str = _setting("", "A PEM file of CAs to trust beside the usual ones: that of a TLS inspection, say.")
    body_limit: int = _setting("0", "The longest request body, such as 64m; 0 for any.", size)
    header_limit: int = _setting("64k", "The longest request head (its first line and headers).", size)
    connection_limit: int = _setting("0", "How many connections a user may have open; 0 for any number.", count)
    shortcuts: bool = _setting(
        "true", "Whether the proxy goes shorter ways than mitmproxy's own, to the same end: half the CPU.", boolean
    )
    policy: PolicyMode = _setting(  # noqa: RUF009
        "off",
        "What the [[rule]] tables of aitap.toml do: off, warn (record what would be refused) or enforce.",
        one_of("off", "warn", "enforce"),
    )
    budgets: BudgetsMode = _setting(  # noqa: RUF009
        "warn",
        "What budgets that are used up do, unless they say it themselves: warn or enforce (refuse calls); off looks at "
        "none of them.",
        one_of("off", "warn", "enforce"),
    )
    structured_logging: bool = _setting(
        "false", "Whether each record is also told in the log, a line for each thing known of it.", boolean
    )
    log_format: LogFormat = _setting(  # noqa: RUF009
        "json", "The form of these lines: json, logfmt or human.", one_of("json", "logfmt", "human")
    )
    log_to: str = _setting("stderr", "Where these lines go: stderr, otlp (a collector), or the path of a file.")
    log_size: int = _setting("100m", "A log file longer than this is put aside, such as 100m; 0 for any length.", size)
    log_files: int = _setting("5", "How many log files that were put aside are kept.", count)
    metrics_listen: tuple[str, int] | None = _setting(
        "",
        "Where Prometheus finds the metrics, and others /healthz and /readyz: 127.0.0.1:9464, say. Whoever reaches "
        "it may read them.",
        address,
    )
    metrics_otlp: bool = _setting("false", "Whether the metrics go to an OpenTelemetry collector.", boolean)
    metrics_compatible: bool = _setting(
        "false", "Whether the metrics are also given under the names that begin with coder_ai_gateway_.", boolean
    )
    trace_enable: bool = _setting(
        "false", "Whether each record also goes to an OpenTelemetry collector as a trace; OTEL_* say where.", boolean
    )
    trace_logs: bool = _setting("false", "Whether the log's lines are also events of the trace's spans.", boolean)
    trace_names: TraceNames = _setting(  # noqa: RUF009
        "genai",
        "The name of the span that is the call of the model: genai (chat MODEL) or reference "
        "(Intercept.ProcessRequest.Upstream).",
        one_of("genai", "reference"),
    )
    providers: tuple[ProviderRow, ...] = ()
    """``[[provider]]`` in ``aitap.toml``: hosts beside the built-in ones, asked before them."""
    rules: tuple[PolicyRow, ...] = ()
    """``[[rule]]`` in ``aitap.toml``: which calls are allowed, the first that fits decides."""
    addresses: tuple[AddressRow, ...] = ()
    """``[[address]]`` in ``aitap.toml``: who comes from which network."""
    prices: tuple[OwnPrice, ...] = ()
    """``[[price]]`` in ``aitap.toml``: what models cost, before the book is asked; the first that fits decides."""
    redactions: tuple[OwnRule, ...] = ()
    """``[[redaction]]`` in ``aitap.toml``: what else is taken out of texts, where ``redact`` is not off."""


SETTINGS = {field.name: field for field in dataclasses.fields(Settings) if field.metadata}
"""Every setting that is one text, by name."""


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    return close[0]


def config_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The ``aitap.toml`` in force: ``AITAP_CONFIG``, else the working folder's, else the user's; None if there is none.

    Raises :class:`SettingsError` where ``AITAP_CONFIG`` names a file that is not there.
    """
    if named := environ.get("AITAP_CONFIG"):
        if not Path(named).is_file():
            raise SettingsError(f"AITAP_CONFIG names {named}, which is not a file")
        return Path(named)
    for folder in (Path.cwd(), config_folder()):
        if (folder / "aitap.toml").is_file():
            return folder / "aitap.toml"
    return None


def _from_file(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The texts of the file, and what its tables make of fields."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    try:
        tables = taken_from(table)
    except TableError as error:
        raise SettingsError(f"{path}: {error}") from None
    for name in table:
        if name not in SETTINGS:
            near = _nearest(name, (*SETTINGS, *TABLES))
            raise SettingsError(f"{path}: unknown setting {name!r}, did you mean {near!r}?")
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in table.items()}
    return texts, tables


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    known = {f"AITAP_{name.upper()}": name for name in SETTINGS}
    found = {}
    for variable, value in environ.items():
        if not variable.startswith("AITAP_") or variable in _NO_SETTINGS:
            continue
        if variable not in known:
            if _of_a_service(variable, value):
                continue
            raise SettingsError(f"unknown variable {variable}, did you mean {_nearest(variable, known)}?")
        found[known[variable]] = value
    return found


_SERVICE_LINK = re.compile(
    r"AITAP_(?:.+_)?(?:SERVICE_(?:HOST|PORT(?:_.+)?)|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)


def _of_a_service(variable: str, value: str) -> bool:
    """Whether Kubernetes puts this into every pod beside a service whose name begins with ``aitap``."""
    # https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    if variable.endswith("_PORT") and value.startswith(("tcp://", "udp://", "sctp://")):
        return True
    return _SERVICE_LINK.fullmatch(variable) is not None


def check_options(names: Iterable[str]) -> None:
    """Raise :class:`SettingsError` for the first of these option names that is no setting."""
    known = [f"aitap_{name}" for name in SETTINGS]
    for name in names:
        if name.startswith("aitap_") and name not in known:
            raise SettingsError(f"unknown option {name}, did you mean {_nearest(name, known)}?")


def load(options: Mapping[str, str | None] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force; ``options`` are what the command line or ``--set`` gave, None where it gave nothing.

    Raises :class:`SettingsError` for an unknown name or a value that does not parse.
    """
    path = config_file(environ)
    in_file, tables = _from_file(path) if path else ({}, {})
    sources: list[tuple[str, dict[str, str]]] = [
        ("option", {name: value for name, value in (options or {}).items() if value is not None}),
        ("environment", _from_environment(environ)),
        (str(path), in_file),
    ]
    values: dict[str, Any] = tables
    for name, field in SETTINGS.items():
        default = field.metadata["text"]
        origin, text = next(
            ((origin, found[name]) for origin, found in sources if name in found),
            ("default", default() if callable(default) else default),
        )
        try:
            values[name] = field.metadata["parse"](text)
        except ValueError as error:
            # It may hold a password, in whatever place.
            value = "" if name == "database_url" else f" = {text!r}"
            raise SettingsError(f"{name}{value} ({origin}): {error}") from None
    return Settings(**values)
