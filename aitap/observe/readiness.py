"""Why records cannot be written, as it may be told to whoever asks.

What a database says of its trouble names hosts, users and files. Those who may read the log find it there.
"""

from __future__ import annotations

__all__ = ["told_to_strangers"]

_KNOWN = (
    ("locked", "database is locked"),
    ("full", "no room is left"),
    ("no space", "no room is left"),
    ("readonly", "database is read-only"),
    ("read-only", "database is read-only"),
    ("authentication", "it does not let us in"),
    ("permission", "it does not let us do that"),
    ("too many", "it takes no more connections"),
    ("malformed", "it is damaged"),
    ("removed", "its file is gone"),
    ("unable to open", "its file cannot be opened"),
    ("said nothing", "it takes too long"),
    ("connect", "it cannot be reached"),
    ("terminat", "it cannot be reached"),
    ("starting up", "it cannot be reached"),
    ("shutting down", "it cannot be reached"),
    ("timeout", "it takes too long"),
)


def told_to_strangers(trouble: str) -> str:
    """A trouble of the writer's without names of hosts, users or files; empty where there is none.

    ``what``, or ``what: why``, or ``what: why; spool`` (see :attr:`aitap.storage.writer.Writer.keeps_nothing`).
    """
    what, colon, why = trouble.partition(": ")
    if not colon:
        return trouble
    why, semicolon, spool = why.rpartition("; ") if "; " in why else (why, "", "")
    told = f"{what}: {_known(why)}"
    if semicolon:
        told += "; there is no spool" if "no spool" in spool else f"; nor does the spool: {_known(spool)}"
    return told


def _known(why: str) -> str:
    lower = why.lower()
    return next((told for words, told in _KNOWN if words in lower), "see the log of the proxy")
