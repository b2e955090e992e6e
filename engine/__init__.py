"""onek recognises one in K: photographs or vectors go in; for every probe comes out who it is, or "unknown"."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.answers.results import Result, Results
    from engine.client import Client
    from engine.embedding.embedder import Embedding, embed_images
    from engine.encoders import Encoder, load_encoder
    from engine.gallery.gallery import Gallery
    from engine.templates.parquet import Templates, read_templates
    from indexes.errors import OnekError

__all__ = [
    "Client",
    "Embedding",
    "Encoder",
    "Gallery",
    "OnekError",
    "Result",
    "Results",
    "Templates",
    "embed_images",
    "load_encoder",
    "read_templates",
]

_HOME = {
    "Client": "engine.client",
    "Embedding": "engine.embedding.embedder",
    "Encoder": "engine.encoders",
    "Gallery": "engine.gallery.gallery",
    "OnekError": "indexes.errors",
    "Result": "engine.answers.results",
    "Results": "engine.answers.results",
    "Templates": "engine.templates.parquet",
    "embed_images": "engine.embedding.embedder",
    "load_encoder": "engine.encoders",
    "read_templates": "engine.templates.parquet",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import engine` alone loads nothing heavy."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
