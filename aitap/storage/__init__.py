"""Where records live: models, migrations, the writer, queries and retention. Knows nothing of mitmproxy."""
