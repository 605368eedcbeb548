"""What holds for every command: help, one-line failures, statuses, and a fast start."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from aitap import __version__
from aitap.certs.authority import DEFAULT_CONFDIR, ensure_authority
from aitap.export.cli import COMMANDS, main
from aitap.export.listing import ListingGroup
from tests.export.conftest import Invoke, Written


def every_command(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from every_command(child, (*path, name))


ALL = dict(every_command(main))


def test_the_commands_are_those_of_this_issue_and_no_others() -> None:
    assert {" ".join(path) for path, command in ALL.items() if not isinstance(command, click.Group)} == {
        *("run", "exec", "env", "doctor"),
        *("ca show", "ca bundle", "ca init", "ca renew", "ca fetch"),
        *(
            "interceptions list",
            "interceptions show",
            "sessions list",
            "sessions show",
            "sessions pin",
            "sessions unpin",
        ),
        *("models", "clients", "providers", "export", "ingest", "prune", "tail", "serve", "usage", "reprice"),
        *("hosts list", "hosts observe", "hosts decrypt", "hosts reset"),
        *("users add", "users list", "users role", "users remove", "keys create", "keys list", "keys revoke"),
        *("groups add", "groups list", "groups remove", "groups join", "groups leave"),
        *("budgets set", "budgets list", "budgets remove", "budgets status", "audit list"),
        *("db migrate", "db status", "db check", "db replay", "verify"),
        *("reconcile", "redact", "erase"),
    }


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_and_every_option_says_what_it_does(path: tuple[str, ...], invoke: Invoke) -> None:
    command = ALL[path]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.endswith((".", "]")), parameter.help
    assert invoke(*path, "--help").stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    "path",
    [
        path
        for path, command in ALL.items()
        if isinstance(command, click.Group) and not isinstance(command, ListingGroup)
    ],
    ids=" ".join,
)
def test_a_group_alone_shows_its_help(path: tuple[str, ...], invoke: Invoke) -> None:
    assert "Commands:" in invoke(*path).stdout


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").stdout.strip().endswith(__version__)


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("bogus", 2, "No such command 'bogus' (see"),
        ("usages", 2, "No such command 'usages', did you mean 'usage'?"),
        ("interceptions bogus", 2, "No such command 'bogus'"),
        ("interceptions list --bogus", 2, "--bogus"),
        ("interceptions list --limit 0", 2, "1<=x<=1000"),
        ("interceptions list --limit 1001", 2, "1<=x<=1000"),
        ("interceptions list -q modle:x", 2, "did you mean 'model'"),
        ("interceptions list -q model:x --model x", 2, "also given as --model"),
        ("interceptions list --initiator nobody-here", 2, "'nobody-here' does not exist"),
        ("interceptions list --after-id 0190", 1, "not found"),
        ("interceptions show ffffffff", 1, "no interception 'ffffffff'"),
        ("sessions list --started-after soon", 2, "started_after: 'soon'"),
        ("sessions list --started-after 1h --started-before 2h", 2, "must be after started_after"),
        ("sessions list -q word", 2, "no search key specified"),
        ("sessions show nothing-such", 1, "no session 'nothing-such'"),
        ("models --limit 3", 2, "--limit"),
        ("export --format orc", 2, "orc"),
        ("export -o all.parquet.gz", 2, "compressed inside"),
        ("export --name nightly", 2, "--since-last"),
        ("export sessions --since-last", 2, "no end"),
        ("export --forget", 1, "no export 'default'"),
        ("export users", 2, "users"),
        ("export -o missing/folder/x.json", 1, "cannot write missing"),
        ("prune --older-than 60", 2, "--older-than"),
        ("prune --older-than 0", 2, "--older-than"),
        ("env --shell tcsh", 2, "tcsh"),
        ("env --proxy nonsense", 2, "no proxy address"),
        ("env --proxy http://host:99999", 2, "no proxy address"),
        ("exec", 2, "COMMAND"),
        ("run extra", 2, "extra"),
        ("run --port 0", 2, "--port"),
        ("run -- --listen-port 9090", 2, "--listen-port: say --port"),
        ("env --confdir /dev/null/folder", 1, "name another folder with --confdir"),
        ("--database-url sqlite:////dev sessions list", 1, "it is a folder"),
        ("--database-url mysql://x sessions list", 1, "database_url"),
        ("--database-url sqlite:////nowhere/x.db sessions list", 1, "no database at /nowhere/x.db"),
        ("sessions list --database-url sqlite:////nowhere/x.db", 1, "no database at /nowhere/x.db"),
        ("db status --database-url sqlite:////nowhere/x.db", 1, "no database at"),
        ("tail --database-url sqlite:////nowhere/x.db", 1, "no database at"),
    ],
)
def test_a_failure_is_one_line_and_a_status(line: str, status: int, words: str, invoke: Invoke) -> None:
    assert words in invoke(*line.split(), status=status).stderr


@pytest.mark.usefixtures("written")
def test_a_failure_that_repeats_what_it_was_given_cannot_touch_the_terminal(invoke: Invoke) -> None:
    failed = invoke("interceptions", "list", "-q", "x\x1b[2J\u202e:y", status=2).stderr
    assert "unknown search key" in failed
    assert not {"\x1b", "\u202e"} & set(failed)


def test_an_unknown_setting_in_the_environment_is_one_line(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AITAP_RETENTON", "1d")
    assert "AITAP_RETENTION" in invoke("sessions", "list", status=1).stderr


@pytest.mark.parametrize("command", ["interceptions list", "sessions list", "models", "export", "db check", "tail"])
def test_a_file_that_is_no_database_is_one_line(command: str, invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "no.db"
    path.write_bytes(b"this is no database at all, but long enough to be read as a page" * 100)
    assert "not a database" in invoke(*command.split(), "--database-url", f"sqlite:///{path}", status=1).stderr


def test_a_damaged_database_is_one_line_for_every_reader(invoke: Invoke, written: Written, tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    with sqlite3.connect(written.url.removeprefix("sqlite:///")) as source, sqlite3.connect(path) as copy:
        source.backup(copy)
    copy.close()
    content = bytearray(path.read_bytes())
    content[20 * 4096 :] = b"\xa5" * (len(content) - 20 * 4096)
    path.write_bytes(content)
    url = f"sqlite:///{path}"
    for command in (["export"], ["interceptions", "list"], ["db", "check"]):
        invoke(*command, "--database-url", url, status=1)


@pytest.mark.parametrize(
    "command",
    [
        ["export", "--model", "\udcff"],
        ["export", "--forget", "--name", "\udcff"],
        ["interceptions", "list", "-q", "initiator:\udcff"],
        ["sessions", "show", "\udcff"],
        ["users", "add", "\udcff"],
    ],
    ids=" ".join,
)
def test_bytes_that_are_no_text_are_wrong_usage(command: list[str], invoke: Invoke) -> None:
    """As Python gives them: ``aitap export --model $'\\xff'``."""
    assert "UTF-8" in invoke(*command, status=2).stderr


def aitap(*args: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "aitap", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def test_a_reader_that_goes_away_is_no_failure(written: Written) -> None:
    process = aitap("export", env=os.environ | {"AITAP_DATABASE_URL": written.url})
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["export", "interceptions list", "models", "env"])
def test_output_that_cannot_be_written_is_one_line(command: str, written: Written) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "aitap", *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | {"AITAP_DATABASE_URL": written.url},
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"aitap: No space left on device\n"


def test_a_letter_that_the_terminal_does_not_have_is_a_question_mark(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "Büro ☃")
    done = subprocess.run(
        [sys.executable, "-m", "aitap", "env", "--shell", "dotenv", "--confdir", folder, "--proxy", "localhost:9"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Büro ?".encode("latin-1") in done.stdout


def test_the_help_of_a_search_names_its_keys(invoke: Invoke) -> None:
    keys = "keys: initiator, provider, provider_name, client, started_after, started_before."
    assert keys in " ".join(invoke("hosts", "list", "--help").stdout.split())


def test_the_marks_of_our_own_tables_are_plain_ones_on_a_terminal_of_plain_letters() -> None:
    code = (
        "from aitap.export import cli\ncli._write_what_can_be_written()\n"
        "print('nothing \\u2013, cut\\u2026, leads \\u2192 to, \\u2603')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"nothing -, cut~, leads > to, ?\n", b"")


@pytest.mark.parametrize("module", ["mitmproxy", "peewee", "rich", "cryptography", "aitap.storage"])
def test_env_starts_without_loading_what_it_does_not_need(module: str) -> None:
    ensure_authority(DEFAULT_CONFDIR)
    code = (
        "import sys\nfrom aitap.export.cli import main\n"
        "try: main(['env'])\nexcept SystemExit as done: assert not done.code\n"
        f"assert {module!r} not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_help_has_a_line_for_each_command_and_loads_none() -> None:
    code = (
        "import sys\nfrom aitap.export.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as done: assert not done.code\n"
        "loaded = {name for name in sys.modules if name.startswith('aitap')}\n"
        "assert loaded == {'aitap', 'aitap.export', 'aitap.export.cli', 'aitap.export.failures'}, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [row.split(maxsplit=1) for row in done.stdout.partition("Commands:\n")[2].splitlines()]
    assert rows == [[name, line] for name, (_, line) in COMMANDS.items()]


def test_all_commands_are_found_where_the_table_says() -> None:
    assert set(COMMANDS) == {path[0] for path in ALL if path}
