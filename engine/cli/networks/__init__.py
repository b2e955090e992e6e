"""The commands that train networks, and that show what one sees."""
