"""onek recognises one in K: photographs or vectors go in; for every probe comes out who it is, or "unknown"."""

from typing import TYPE_CHECKING, Any

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.answers.results import Result, Results
    from engine.client.client import Client
    from engine.embedding.in_memory import Embedding, embed_images
    from engine.encoders.base import Encoder
    from engine.encoders.registry import load_encoder
    from engine.gallery.gallery import Gallery
    from engine.grouping.grouping import group_templates
    from engine.grouping.groups import Groups
    from engine.templates.model import Templates
    from engine.templates.parquet import read_templates
    from indexes.errors import OnekError

    __version__: str

__all__ = [
    "Client",
    "Embedding",
    "Encoder",
    "Gallery",
    "Groups",
    "OnekError",
    "Result",
    "Results",
    "Templates",
    "embed_images",
    "group_templates",
    "load_encoder",
    "read_templates",
]

_imported = late_names(
    __name__,
    {
        "engine.answers.results": ("Result", "Results"),
        "engine.client.client": ("Client",),
        "engine.embedding.in_memory": ("Embedding", "embed_images"),
        "engine.encoders.base": ("Encoder",),
        "engine.encoders.registry": ("load_encoder",),
        "engine.gallery.gallery": ("Gallery",),
        "engine.grouping.grouping": ("group_templates",),
        "engine.grouping.groups": ("Groups",),
        "engine.templates.model": ("Templates",),
        "engine.templates.parquet": ("read_templates",),
        "indexes.errors": ("OnekError",),
    },
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("onek")
    return _imported(name)


def __dir__() -> list[str]:
    """The public names, and what every module has."""
    return [*__all__, *(name for name in globals() if name.startswith("__")), "__version__"]
