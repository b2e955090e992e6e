"""What a picture is worth: an encoder's confidence as a share of ordinary photographs, and the gate that it has to pass."""

LEAST = 0.001
"""The quality from which on a picture is taken where nobody says otherwise: one in a thousand ordinary photographs is worse."""
