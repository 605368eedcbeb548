"""Commands of ours that a text names: each must exist, with its options."""

from __future__ import annotations

import re
import shlex

import click

from aitap.export.cli import main

__all__ = ["code_blocks", "commands_in", "exists", "shell_commands"]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r"`(aitap [^`]+)`")
_START = re.compile(r"(?:^|[\s(\"'`;|&])(aitap (?:[a-z]|--)[^\n#|;)]*)")


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block of a Markdown text."""
    return [(match[1], match[2]) for match in _FENCE.finditer(text)]


def commands_in(text: str) -> list[str]:
    """What stands between backticks, begins with our name and is no placeholder alone."""
    return [" ".join(match[1].split()) for match in _QUOTED.finditer(text)]


def shell_commands(text: str) -> list[str]:
    """Our commands in the lines of a shell script."""
    joined = text.replace("\\\n", " ")
    return [" ".join(match[1].split()) for match in _START.finditer(joined)]


def exists(line: str) -> bool:
    """Whether the command line names a command there is, and only options that it has."""
    try:
        words = shlex.split(line.rstrip("\"'"))[1:]
    except ValueError:
        words = line.split()[1:]
    command: click.Command = main
    context = click.Context(command)
    while words and isinstance(command, click.Group):
        if words[0].startswith("-"):
            return words[0] in {option for parameter in command.params for option in parameter.opts} | {"--help"}
        child = command.get_command(context, words[0])
        if child is None:
            return False
        command, words = child, words[1:]
    words = words[: words.index("--")] if "--" in words else words
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return all(word.partition("=")[0] in known | {"--help"} for word in words if word.startswith("-") and word != "-")
