"""Approximate search: short codes choose a shortlist, and the full vectors give the exact distances of it."""
