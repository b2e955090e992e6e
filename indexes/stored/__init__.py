"""FAISS's indexes as plain arrays, and made from such arrays again, which are checked first: they may come from anybody."""
