"""The gate: where a key is asked for, and what a stranger gets to see."""
