"""Indexes made of other indexes: several concatenated, one with some rows masked, or some rows of one. None is kept in a file."""
