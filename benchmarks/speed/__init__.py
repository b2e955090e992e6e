"""Time and memory, in ratios inside one run."""
