"""Training encoders, verifiers over pairs of templates, and projections of templates."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.training.fit import Recipe, Trained
    from engine.training.pair_verifier import train_pair_verifier
    from engine.training.projections import train_projection

__all__ = ["Recipe", "Trained", "train_pair_verifier", "train_projection"]

__getattr__ = late_names(
    __name__,
    {
        "engine.training.fit": ("Recipe", "Trained"),
        "engine.training.pair_verifier": ("train_pair_verifier",),
        "engine.training.projections": ("train_projection",),
    },
)
