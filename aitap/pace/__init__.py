"""What mitmproxy does at each request, done with less: byte for byte and event for event the same."""
