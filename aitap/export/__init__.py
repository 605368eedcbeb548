"""The command line: faces of the queries, file formats, and the commands that start and watch the proxy."""
