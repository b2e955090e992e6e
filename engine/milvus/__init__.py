"""Galleries in Milvus: it keeps the templates and finds candidates, the engine scores and decides."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.milvus.backend import MilvusBackend
    from engine.milvus.connection.address import Address, is_milvus
    from engine.milvus.connection.client import Client
    from engine.milvus.info import MilvusInfo
    from engine.milvus.snapshot import MilvusSnapshot

__all__ = ["Address", "Client", "MilvusBackend", "MilvusInfo", "MilvusSnapshot", "is_milvus"]

__getattr__ = late_names(
    __name__,
    {
        "engine.milvus.backend": ("MilvusBackend",),
        "engine.milvus.connection.address": ("Address", "is_milvus"),
        "engine.milvus.connection.client": ("Client",),
        "engine.milvus.info": ("MilvusInfo",),
        "engine.milvus.snapshot": ("MilvusSnapshot",),
    },
)
