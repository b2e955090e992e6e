"""Lists that people hand over, and sheets that they are given: one reader, one writer."""
