"""``aitap models|clients|providers``: the distinct values there are, to filter by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from aitap.export.human import safe
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option, query_filter, query_options
from aitap.export.store import opened
from aitap.storage.queries import distinct_clients, distinct_models, distinct_providers

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.storage.search import Kind

__all__ = ["clients", "models", "providers"]


def _command(name: Kind, field: str, ask: Callable[..., list[str]], text: str) -> click.Command:
    @click.command(name, help=f"{text}\n\nThe value of --{field} (or a bare word in -q) is a beginning here.")
    @query_options
    @json_option
    def command(*, as_json: bool, **query: Any) -> None:
        with opened() as database:
            wanted = query_filter(database, name, query)
            # The reference matches beginnings here, and whole values everywhere else.
            prefix = getattr(wanted, field)
            found = ask(database, msgspec.structs.replace(wanted, **{field: None}), prefix=prefix)
        if wants_json(asked=as_json):
            write_json(found)
            return
        if not found:
            terminal().print(f"No {name} found.", style="dim")
        for value in found:
            click.echo(safe(value))

    return command


models = _command("models", "model", distinct_models, "List the models that were asked for.")
clients = _command("clients", "client", distinct_clients, "List the clients that called.")
providers = _command("providers", "provider", distinct_providers, "List the providers that were called.")
