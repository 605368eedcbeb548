"""How much one client may ask of the proxy."""
