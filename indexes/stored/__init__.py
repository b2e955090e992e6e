"""Indexes as plain arrays in a file of our own: nothing foreign is given to FAISS."""
