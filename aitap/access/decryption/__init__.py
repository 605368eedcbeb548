"""What is decrypted, and what passes unread and is only counted."""
