"""Exact search, and the lower bounds that spare it most of the distances."""
