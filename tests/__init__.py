"""The tests; the tree mirrors the package's, and ``proxy`` holds what goes through a real mitmdump."""
