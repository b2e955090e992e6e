"""The gallery that a user holds."""
