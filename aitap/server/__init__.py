"""The records over HTTP: the reference's API. Only ``aitap serve`` loads it; it needs the extra ``server``."""
