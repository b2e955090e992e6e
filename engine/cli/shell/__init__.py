"""What a command needs in a shell: help with examples, pipes, machine-readable output, diagnosis."""
