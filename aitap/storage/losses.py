"""Why records are lost: the words that metrics and logs use, and what they mean."""

from __future__ import annotations

__all__ = ["CLOSED", "DAMAGED", "DIED", "FAILED", "FULL", "KILLED", "LOSSES", "QUEUE", "UNSTORABLE"]

QUEUE, FULL, FAILED, UNSTORABLE = "queue_full", "spool_full", "spool_failed", "unstorable"
DAMAGED, CLOSED, DIED, KILLED = "damaged", "closed", "recorder_died", "proxy_killed"

LOSSES = {
    QUEUE: "the database does not take records, and the memory for them is full",
    FULL: "the database does not take records, and the spool is full",
    FAILED: "the database does not take records, and the spool cannot be written",
    UNSTORABLE: "no database can hold them",
    DAMAGED: "the spool was damaged",
    CLOSED: "they came after the end",
    DIED: "the recorder process died before they were stored",
    KILLED: "the proxy was killed before they were handed over or stored",
}
"""Every reason, and what it means."""
