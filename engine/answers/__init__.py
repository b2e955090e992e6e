"""What a gallery answers, wherever it lies: a snapshot of it, and the rows of its results."""
