"""What recording costs, measured against plain mitmdump: ``python -m bench``."""
