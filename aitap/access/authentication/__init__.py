"""Who speaks: proxy keys, and the other places from which a user may be known."""
