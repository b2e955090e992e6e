"""Kills, readers beside writers, hostile files."""
