"""How often the right one is found, and a stranger taken for somebody."""
