"""Whether a living person stands there: a challenge that a flat picture fails, and a detector of the user's own."""
