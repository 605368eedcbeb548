"""Secrets and personal data taken out of texts before anything keeps them.

Theory of operation. Rules are data (``data/rules.toml``, and the user's own ``[[redaction]]`` tables); the engine
finds what they describe in a text, also inside JSON within JSON; the redactor applies it where a record is made and
fails closed: a text that cannot be searched is withheld. What was removed is counted by rule and field, and nothing
else of it is kept, neither the value nor a digest.
"""
