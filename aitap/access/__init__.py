"""Who may use the proxy, what of their traffic is decrypted, where it may go, and what is refused."""
