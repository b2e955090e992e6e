"""Styles: drawn pictures of some, chips in them, and whether training with some helps against others."""
