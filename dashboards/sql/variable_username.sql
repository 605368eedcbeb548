SELECT username FROM users ORDER BY 1
