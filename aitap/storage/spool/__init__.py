"""The spool: files in which records wait while the database does not take them."""
