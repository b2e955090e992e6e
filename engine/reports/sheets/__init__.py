"""Sheets of faces, as pages: those of results, of an evaluation's worst mistakes, and of groups. They show people."""
