"""A gallery in a folder: its files, its transactions, its snapshots."""
