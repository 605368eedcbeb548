"""The capture side: bytes in, records out."""
