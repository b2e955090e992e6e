"""Figures and pages that people read, made out of raw results."""
