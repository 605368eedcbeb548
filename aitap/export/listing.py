"""A group of commands that shows something when none of them is named."""

from __future__ import annotations

import click

__all__ = ["ListingGroup"]


class ListingGroup(click.Group):
    """A group whose command ``shows`` is meant where no other is named; it takes that one's options then."""

    shows = "list"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments, with the command put before them where there is none."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [self.shows, *args]
        return super().parse_args(ctx, args)
