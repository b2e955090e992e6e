"""Searches whose truth is known, made and kept: of a gallery and its probes, or of one labelled set split again and again."""
