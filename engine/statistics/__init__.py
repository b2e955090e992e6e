"""Rates, and the distribution of scores estimated from a sample. Nothing here knows of galleries or faces."""
