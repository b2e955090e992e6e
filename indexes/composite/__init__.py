"""Indexes made of other indexes: several concatenated, or one with some rows masked. They are not kept in files."""
