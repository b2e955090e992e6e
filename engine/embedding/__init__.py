"""From photographs to templates."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.embedding.embedder import Embedder
    from engine.embedding.in_memory import Embedding, embed_images
    from engine.embedding.outcome import Outcome
    from engine.embedding.photographs import Photograph, find_photographs, label_photographs
    from engine.embedding.probe_encoder import ProbeEncoder

__all__ = [
    "Embedder",
    "Embedding",
    "Outcome",
    "Photograph",
    "ProbeEncoder",
    "embed_images",
    "find_photographs",
    "label_photographs",
]

__getattr__ = late_names(
    __name__,
    {
        "engine.embedding.embedder": ("Embedder",),
        "engine.embedding.in_memory": ("Embedding", "embed_images"),
        "engine.embedding.outcome": ("Outcome",),
        "engine.embedding.photographs": ("Photograph", "find_photographs", "label_photographs"),
        "engine.embedding.probe_encoder": ("ProbeEncoder",),
    },
)
