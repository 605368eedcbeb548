"""What calls cost: a book of list prices, the user's own prices, and the arithmetic between counters and money."""
