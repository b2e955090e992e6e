"""Faces that nobody has named yet, put into groups, one a person: from templates to groups, corrections and what to look at."""
