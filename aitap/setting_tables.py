"""The tables of ``aitap.toml``, whose rows are no text: what each is called, and which field of the settings it is.

Each has its rows read by the part that they are for; here their mistakes become one error.
"""

from __future__ import annotations

from typing import Any

from aitap.access.authentication.address_table import AddressError, address_rows
from aitap.access.policy.policy_rows import PolicyRowError, own_rules
from aitap.capture.provider_rows import ProviderRowError, own_rows
from aitap.prices.own_prices import OwnPriceError, own_prices
from aitap.redaction.rows import OwnRuleError
from aitap.redaction.rows import own_rules as own_redactions

__all__ = ["TABLES", "TableError", "taken_from"]

TABLES = ("provider", "rule", "address", "price", "redaction")
"""Their names in the file."""


class TableError(ValueError):
    """What is wrong with a table, in a line."""


def taken_from(table: dict[str, Any]) -> dict[str, Any]:
    """Take the tables out of what is in the file; the fields that they are. Raises :class:`TableError`."""
    try:
        providers = own_rows(table.pop("provider", []))
        found = {
            "providers": providers,
            "rules": own_rules(table.pop("rule", []), providers),
            "addresses": address_rows(table.pop("address", [])),
            "prices": own_prices(table.pop("price", [])),
            "redactions": own_redactions(table.pop("redaction", [])),
        }
    except (ProviderRowError, PolicyRowError, AddressError, OwnPriceError, OwnRuleError) as error:
        raise TableError(str(error)) from None
    if isinstance(table.get("policy"), list):
        raise TableError("write the rules as [[rule]]; policy is off, warn or enforce")
    if isinstance(table.get("redact"), list):
        raise TableError("write the rules as [[redaction]]; redact is off, secrets, personal or all")
    return found
