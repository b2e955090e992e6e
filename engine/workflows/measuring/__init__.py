"""Measure, from files to a folder with a report."""
