"""Jobs from files to files, here or on many machines, and galleries by their addresses."""
