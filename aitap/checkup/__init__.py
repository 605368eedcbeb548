"""What may be wrong between a client and its records: checks that look, change nothing, and say what to do."""
