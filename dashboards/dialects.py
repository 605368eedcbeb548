"""The two kinds of SQL that Grafana sends: to PostgreSQL, and to SQLite through the plugin frser-sqlite-datasource.

The queries in ``sql/`` are written once. Where the databases or the data sources differ, a query calls a macro
(``$during(i.started_at)``), and this module says what each makes of it. What remains for Grafana to fill in
(``$__from``, ``$__timeFilter(...)``, ``${model:sqlstring}``) is the data source's own.

Sources: https://grafana.com/docs/grafana/latest/datasources/postgres/query-editor/ (macros),
https://github.com/fr-ser/grafana-sqlite-datasource (that plugin has no macro for a span of time),
https://grafana.com/docs/grafana/latest/variables/variable-syntax/ (``sqlstring``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ALL", "POSTGRESQL", "SQLITE", "Dialect", "moments", "source"]

ALL = "*"
"""What a variable stands for where everything is chosen: nobody and nothing is called so."""

_SOURCES = Path(__file__).with_name("sql")
_CALL = re.compile(r"\$([a-z]+)\(")
_MOMENT = re.compile(r'\$moment\((?:[^()]|\([^()]*\))*\) AS "([^"]+)"')

Macro = Callable[..., str]


@dataclass(frozen=True)
class Dialect:
    """One kind of database, and of data source."""

    name: str
    """In prose."""
    plugin: str
    """Type of the data source."""
    macros: dict[str, Macro]

    def query(self, name: str) -> str:
        """The query of ``sql/NAME.sql``. Raises ``KeyError`` for a macro that there is not."""
        return self.expand(source(name))

    def expand(self, text: str) -> str:
        """The text with all macros of ours written out."""
        while call := _CALL.search(text):
            arguments, end = _arguments(text, call.end())
            text = f"{text[: call.start()]}{self.macros[call[1]](*arguments)}{text[end:]}"
        return text


def source(name: str) -> str:
    """What ``sql/NAME.sql`` says, before macros are written out."""
    return _SOURCES.joinpath(f"{name}.sql").read_text("utf-8").strip()


def moments(text: str) -> list[str]:
    """Columns of a query of ``sql/`` that are moments."""
    return (["time"] if "$bucket(" in text else []) + _MOMENT.findall(text)


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """The arguments of a call, split at its own commas, and where it ends."""
    depth, begun, found = 1, start, []
    for place in range(start, len(text)):
        letter = text[place]
        depth += (letter == "(") - (letter == ")")
        if depth == 0 or (depth == 1 and letter == ","):
            found.append(" ".join(text[begun:place].split()))
            begun = place + 1
        if depth == 0:
            return [argument for argument in found if argument], place + 1
    raise ValueError(f"a bracket is open: {text[start : start + 40]!r}")


def _all(variable: str) -> str:
    return f"'{ALL}' IN (${{{variable}:sqlstring}})"


def _picked(variable: str, value: str) -> str:
    return f"({_all(variable)} OR {value} IN (${{{variable}:sqlstring}}))"


def _chosen() -> str:
    """What all variables choose, of interceptions ``i`` and their users ``u``. Nothing drops out for being unknown."""
    return "\n  AND ".join(
        (
            _picked("username", "coalesce(u.username, CAST(i.initiator_id AS text))"),
            _picked("provider", "i.provider"),
            _picked("model", "i.model"),
            _picked("client", "coalesce(i.client, 'Unknown')"),
        )
    )


_SAME: dict[str, Macro] = {
    "all": _all,
    "picked": _picked,
    "chosen": _chosen,
    "dollars": lambda micros: f"CAST({micros} AS double precision) / 1000000",
    "share": lambda part, whole: f"CAST({part} AS double precision) / nullif({whole}, 0)",
}


POSTGRESQL = Dialect(
    name="PostgreSQL",
    plugin="grafana-postgresql-datasource",
    macros={
        **_SAME,
        "during": lambda moment: f"$__timeFilter({moment})",
        "from": lambda: "$__timeFrom()",
        "to": lambda: "$__timeTo()",
        "now": lambda: "now()",
        "bucket": lambda moment: f"$__timeGroup({moment}, $__interval)",
        "moment": lambda moment: moment,
        "seconds": lambda start, end: f"CAST(extract(epoch FROM {end} - {start}) AS double precision)",
        "each": lambda texts: f"jsonb_array_elements_text({texts}) AS one(value)",
        "listed": lambda texts: (
            "(SELECT string_agg(one.value, ', ' ORDER BY one.value) "
            f"FROM jsonb_array_elements_text({texts}) AS one(value))"
        ),
    },
)


# As aitap.storage.fields writes moments: text that sorts, so that an index on it finds a span.
_STORED = "%Y-%m-%d %H:%M:%f000+00:00"


def _epoch(variable: str) -> str:
    return f"strftime('{_STORED}', {variable} / 1000.0, 'unixepoch')"


SQLITE = Dialect(
    name="SQLite",
    plugin="frser-sqlite-datasource",
    macros={
        **_SAME,
        "during": lambda moment: f"{moment} BETWEEN {_epoch('$__from')} AND {_epoch('$__to')}",
        "from": lambda: _epoch("$__from"),
        "to": lambda: _epoch("$__to"),
        "now": lambda: f"strftime('{_STORED}', 'now')",
        "bucket": lambda moment: (
            f"CAST(strftime('%s', {moment}) AS INTEGER) / ($__interval_ms / 1000) * ($__interval_ms / 1000)"
        ),
        # The plugin reads times as RFC 3339 has them.
        "moment": lambda moment: f"replace({moment}, ' ', 'T')",
        "seconds": lambda start, end: f"round((julianday({end}) - julianday({start})) * 86400, 3)",
        "each": lambda texts: f"json_each({texts}) AS one",
        "listed": lambda texts: f"(SELECT group_concat(one.value, ', ') FROM json_each({texts}) AS one)",
    },
)
