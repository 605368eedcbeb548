"""Framing and coding of bytes, sans-IO: nothing here knows mitmproxy, a socket, a clock or a database."""
