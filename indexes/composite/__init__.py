"""One index out of others: behind each other, or without some of their rows."""
