"""What operators see of the records: log lines, metrics and traces, made in the recorder process."""
