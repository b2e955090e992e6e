"""Analyses that change nothing: likely label errors, and what a decision hangs on."""
