"""Tests of real clients, through a real mitmdump, against a scripted provider on loopback."""
