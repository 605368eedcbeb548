"""The CA that signs for the proxy, the trust bundle made of it, and the variables that make clients use both."""
