"""What happens to traffic: hooks, routes, wire decoders, and the thread that turns bytes into records."""
