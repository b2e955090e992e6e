"""What makes the command at home in a shell: help with examples, and how it ends."""
