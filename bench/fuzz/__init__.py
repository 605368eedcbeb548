"""Hostile traffic in every dialect: what passes is not changed, nothing raises, and each exchange is recorded."""
