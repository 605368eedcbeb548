"""The ``aitap`` command: knows the names of its commands and loads only the one that is asked for.

Whatever goes wrong ends in one line on stderr and a status: 0 done, 1 failed, 2 wrong usage. A reader
that goes away (``| head``) is no failure.
"""

from __future__ import annotations

import codecs
import contextlib
import difflib
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from aitap import __version__
from aitap.export.failures import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "run": ("aitap.export.run:run", "Start the recording proxy."),
    "exec": ("aitap.export.exec:exec_command", "Run one command through the proxy."),
    "env": ("aitap.export.env:env", "Print the proxy and CA variables for clients."),
    "ca": ("aitap.export.ca:ca", "The CA the proxy signs with, and the bundle for clients."),
    "users": ("aitap.export.users:users", "The people and machines whose traffic is recorded."),
    "keys": ("aitap.export.keys:keys", "Proxy keys: they say whose traffic it is, and let it in."),
    "groups": ("aitap.export.groups:groups", "Groups of users, for budgets."),
    "budgets": ("aitap.export.budgets:budgets", "What users, groups and everybody may use up in a time."),
    "doctor": ("aitap.export.doctor:doctor", "Find what is wrong, and say what to do."),
    "interceptions": ("aitap.export.interceptions:interceptions", "Single requests to models and what came of them."),
    "sessions": ("aitap.export.sessions:sessions", "Conversations: their prompts, calls, tools and tokens."),
    "usage": ("aitap.export.usage:usage", "Sum up calls, tokens and cost."),
    "models": ("aitap.export.values:models", "List the models that were asked for."),
    "clients": ("aitap.export.values:clients", "List the clients that called."),
    "providers": ("aitap.export.values:providers", "List the providers that were called."),
    "hosts": ("aitap.export.hosts:hosts", "Which hosts were seen, and which of them are read."),
    "export": ("aitap.export.export_records:export", "Export whole records: interceptions or sessions."),
    "tail": ("aitap.export.tail:tail", "Follow new and finished interceptions until Ctrl-C."),
    "ingest": ("aitap.export.ingest:ingest", "Record traffic that was saved: .mitm files and HTTP archives."),
    "reprice": ("aitap.export.reprice:reprice", "Work out anew what recorded calls cost."),
    "reconcile": ("aitap.export.reconcile:reconcile", "Compare what is recorded with what others say was used."),
    "serve": ("aitap.export.serve:serve", "Serve the records over HTTP: web pages and a REST API."),
    "audit": ("aitap.export.audit:audit", "Who was shown whose records, and who changed what."),
    "prune": ("aitap.export.prune:prune", "Remove old interceptions with all that belongs to them."),
    "redact": ("aitap.export.redact:redact", "Try the rules of redaction, or apply them to old records."),
    "erase": ("aitap.export.erase:erase", "Remove all records of a person."),
    "verify": ("aitap.export.verify:verify", "Check that no record was changed, removed or added."),
    "db": ("aitap.export.database:db", "The database: its schema and whether it is sound."),
}
"""Each command as ``module:attribute``, and its line in the help, in the order in which the help shows them."""


# A group without a command shows its help; click before 8.2 does so without an exception.
_HELP_WANTED: tuple[type[click.ClickException], ...] = (
    (click.exceptions.NoArgsIsHelpError,) if hasattr(click.exceptions, "NoArgsIsHelpError") else ()
)


class _ReaderGoneError(Exception):
    """Nobody reads our output any more."""


class Root(click.Group):
    """Finds commands by name and turns every failure into a line and a status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in the order of ``COMMANDS``."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name, loaded now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; for a name that is none it says which one was meant."""
        if args[0][:1].isalpha() and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table's lines: to ask the commands themselves would load them all."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command and sees to it that all it wrote is out."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Click would make a failure of it.
            raise _ReaderGoneError from None
        return result

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = "aitap",
        standalone_mode: bool = True,  # noqa: ARG002, FBT001, FBT002
        **extra: Any,
    ) -> NoReturn:
        """Runs the command line ``args`` and exits."""
        _write_what_can_be_written()
        try:
            status = super().main(args, prog_name, standalone_mode=False, **extra)
        except _ReaderGoneError:
            _forget_output()
            sys.exit(0)
        except _HELP_WANTED as error:
            click.echo(error.format_message())
            sys.exit(0)
        except (click.Abort, KeyboardInterrupt):
            _fail("interrupted", 1)
        except Exception as error:
            found = describe(error)
            if found is None:
                raise
            _fail(*found)
        sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> NoReturn:
    # stderr may be as gone as stdout: nobody is left to tell.
    with contextlib.suppress(OSError):
        click.echo(f"aitap: {message}", err=True)
    try:
        sys.stdout.flush()
    except OSError:
        _forget_output()
    sys.exit(status)


def _write_what_can_be_written() -> None:
    """Puts plain letters for those that the terminal's encoding does not have; file names keep their bytes."""
    codecs.register_error("aitap", _plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="aitap")


_PLAIN = {"\u2013": b"-", "\u2026": b"~", "\u2192": b">"}
"""What our own words and tables use (nothing known, cut, leads to), in letters as wide; of others a ? is made."""


def _plain_letters(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return b"".join(
        # What os.fsdecode could not decode stands for the byte it was.
        bytes((ord(letter) - 0xDC00,)) if "\udc80" <= letter <= "\udcff" else _PLAIN.get(letter, b"?")
        for letter in error.object[error.start : error.end]
    ), error.end


def _forget_output() -> None:
    """Keeps the interpreter's last flush from failing once more on a pipe nobody reads."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


@click.command(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--database-url", metavar="URL", help="Where the records are: sqlite:////absolute/path.db or postgresql://..."
)
@click.version_option(__version__, package_name="aitap", message="%(prog)s %(version)s", help="Show the version.")
@click.pass_context
def main(ctx: click.Context, database_url: str | None) -> None:
    """Records what AI coding agents ask of which model: a recording proxy and what it recorded."""
    ctx.obj = {"database_url": database_url}
