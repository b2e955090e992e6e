"""Codes choose a few vectors, the vectors themselves decide among them."""
