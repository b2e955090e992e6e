"""The report of an evaluation: its figures, the page, and the files beside it."""
