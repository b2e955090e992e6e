"""Galleries in Milvus: it keeps the templates and finds candidates, the engine scores and decides."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.milvus.backend import MilvusBackend
    from engine.milvus.connection.address import Address, is_milvus
    from engine.milvus.connection.client import MilvusConnection
    from engine.milvus.info import MilvusInfo
    from engine.milvus.snapshot import MilvusSnapshot

__all__ = ["Address", "MilvusBackend", "MilvusConnection", "MilvusInfo", "MilvusSnapshot", "is_milvus"]

__getattr__ = late_names(
    __name__,
    {
        "engine.milvus.backend": ("MilvusBackend",),
        "engine.milvus.connection.address": ("Address", "is_milvus"),
        "engine.milvus.connection.client": ("MilvusConnection",),
        "engine.milvus.info": ("MilvusInfo",),
        "engine.milvus.snapshot": ("MilvusSnapshot",),
    },
)
