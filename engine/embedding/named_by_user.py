"""What a gallery says made its templates, against what its user says: only what the user names is loaded.

A gallery may come from anybody, and a path in it may lead to any file, or to object storage, which would be asked with the
user's credentials. So of what a gallery names only the encoders that are built in are taken at its word.
"""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import EncoderMismatch
from engine.templates.provenance import Provenance


@dataclass(frozen=True)
class Named:
    """The files that a user named for a gallery's encoder: the network, its weights, the projection behind it."""

    encoder: str | None = None
    weights: Path | None = None
    projection: Path | None = None

    def over(self, other: "Named") -> "Named":
        """These, and where there is none, those of another."""
        return replace(other, **{name: value for name, value in vars(self).items() if value is not None})

    def loadable(self, made: Provenance, gallery: object) -> "Named":
        """What is loaded to make probes as templates were made.

        Raises:
            EncoderMismatch: the gallery names a file that the user did not; says which, and what to pass.
        """
        from engine.encoders import CARDS

        known = any(card.name == made.encoder for card in CARDS)
        unasked = {
            "encoder": None if known or self.encoder else made.encoder,
            "weights": None if self.weights or self.encoder else made.weights,
            "projection": None if self.projection else made.projection,
        }
        if asked := {name: value for name, value in unasked.items() if value is not None}:
            options = " ".join(f"--{name} {shlex.quote(value)}" for name, value in asked.items())
            python = f"gallery.embedder({', '.join(f'{name}=...' for name in asked)})"
            raise EncoderMismatch(
                f"{gallery} says that it was made with {', '.join(asked.values())}. Nothing that a gallery names is loaded "
                f"unasked: if you trust these files, pass {options} (in Python: {python})"
            )
        return replace(self, encoder=self.encoder or made.encoder)
