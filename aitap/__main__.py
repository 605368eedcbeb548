"""``python -m aitap`` is the command ``aitap``."""

from __future__ import annotations

from aitap.export.cli import main

if __name__ == "__main__":
    main()
