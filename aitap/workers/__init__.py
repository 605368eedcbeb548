"""Several proxy processes on one port: one parent that watches, and a worker for each core."""
