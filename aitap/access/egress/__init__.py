"""Where connections may go, and by which proxy."""
