"""What is kept beside interceptions and says something else than they do: found, and made right beside writers."""
