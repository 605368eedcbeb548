"""aitap records what AI clients say to AI providers, without standing in their way."""

__version__ = "0.1.0"

__all__ = ["__version__"]
