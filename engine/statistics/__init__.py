"""Rates, and the tails of what is sampled; without a domain."""
