"""Which calls of a model are refused."""
