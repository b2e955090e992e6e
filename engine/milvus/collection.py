"""The collection that holds a gallery's templates: its fields, its index, its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import IndexUnsupported
from engine.milvus.building.placement import Placement
from engine.milvus.connection.client import LONG, MilvusConnection, Row, key_of
from engine.templates.model import vectors_of
from indexes.base import Progress

# Rows of one insertion.
_ROWS = 2000
# The longest text that Milvus keeps, in bytes.
_TEXT = 65_535
# A density or a quality that nobody measured: Milvus takes no NaN.
UNMEASURED = -1.0

# What a search brings back of a template, and all that is kept of one. Collections of an older onek have no `quality`.
ENTITY = ("template_id", "identity", "person", "density", "following", "counted", "quality", "vector")
WHOLE = (*ENTITY, "source", "first")


# Kinds that only Milvus has; on the disks or the GPUs of a server's nodes, where those are set up for it.
_SERVED = ("diskann", "gpu-flat", "gpu-ivf", "gpu-cagra")
MILVUS_ONLY = ("hnsw", *_SERVED)


@dataclass(frozen=True)
class IndexKind:
    """An index of Milvus's: its name and what it is built with; `effort` names what a search spends, from `least` to `most`.

    `refine`: how many times the hits that are needed are asked for, where codes choose them and the engine puts them in order.
    """

    name: str
    build: dict[str, int] = field(default_factory=dict)
    effort: str | None = None
    least: int = 0
    most: int = 0
    refine: int = 1


def require_kind(client: MilvusConnection, kind: str) -> None:
    """Refuse a kind that there is none of, or that the server at hand is known not to have. Raises `IndexUnsupported`."""
    index_kind(kind, 1)
    if client.lite and kind in _SERVED:
        raise IndexUnsupported(f"--index {kind}: milvus-lite has none; serve a Milvus that has it, or take --index hnsw")


def index_kind(kind: str, count: int) -> IndexKind:
    """The index of Milvus's for a kind that `indexes.planner` chose, or one of `MILVUS_ONLY`, for so many templates.

    Whatever a quantised kind finds is measured again on full vectors by the engine, so that its codes only choose candidates.
    `flat-codes` is a choice of speed, and what is fast in Milvus at its sizes are lists of full vectors: they need no refinement.

    Raises:
        IndexUnsupported: it has nothing for that.
    """
    lists = int(min(max(4 * sqrt(count), 16), 65_536))
    if kind == "flat":
        return IndexKind("FLAT")
    if kind in ("flat-codes", "ivf"):
        return IndexKind("IVF_FLAT", {"nlist": lists}, "nprobe", 8, lists)
    if kind == "ivf-sq8":
        return IndexKind("IVF_SQ8", {"nlist": lists}, "nprobe", 8, lists, refine=2)
    if kind == "hnsw":
        return IndexKind("HNSW", {"M": 30, "efConstruction": 200}, "ef", 32, 4096)
    if kind == "diskann":
        return IndexKind("DISKANN", {}, "search_list", 32, 4096)
    if kind == "gpu-flat":
        return IndexKind("GPU_BRUTE_FORCE")
    if kind == "gpu-ivf":
        return IndexKind("GPU_IVF_FLAT", {"nlist": lists}, "nprobe", 8, lists)
    if kind == "gpu-cagra":
        return IndexKind("GPU_CAGRA", {"intermediate_graph_degree": 64, "graph_degree": 32}, "itopk_size", 64, 1024)
    raise IndexUnsupported(
        f"--index {kind}: Milvus has nothing for it; expected flat, flat-codes, ivf, ivf-sq8, {', '.join(MILVUS_ONLY)}"
    )


def create(client: MilvusConnection, collection: str, dim: int, placement: Placement = Placement()) -> None:  # noqa: B008 - frozen
    """Make an empty collection. Templates are compared by inner product: of unit vectors it orders as distance does."""
    from pymilvus import DataType, MilvusClient

    made = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    made.add_field("key", DataType.VARCHAR, is_primary=True, max_length=32)
    for name in ("template_id", "identity"):
        made.add_field(name, DataType.VARCHAR, max_length=_TEXT)
    made.add_field("person", DataType.VARCHAR, max_length=32)
    made.add_field("source", DataType.VARCHAR, max_length=_TEXT, nullable=True)
    for name in ("density", "following", "quality"):
        made.add_field(name, DataType.FLOAT)
    for name in ("counted", "first"):
        made.add_field(name, DataType.BOOL)
    made.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    client.call("create_collection", collection, schema=made, **placement.creating())


def holds_templates(client: MilvusConnection, collection: str) -> bool:
    """Whether a collection is one that `create` made."""
    found = {each["name"] for each in client.call("describe_collection", collection)["fields"]}
    return found in ({"key", *WHOLE}, {"key", *WHOLE} - {"quality"})


def index(client: MilvusConnection, collection: str, kind: IndexKind, placement: Placement = Placement()) -> None:  # noqa: B008 - frozen
    """Build its indexes, and load it."""
    from pymilvus import MilvusClient

    client.call("flush", collection, seconds=LONG)
    wanted = MilvusClient.prepare_index_params()
    wanted.add_index("vector", index_type=kind.name, metric_type="IP", params=kind.build)
    for name in ("person", "first"):
        wanted.add_index(name, index_type="INVERTED")
    client.call("create_index", collection, wanted, seconds=LONG)
    client.call("load_collection", collection, seconds=LONG, **placement.loading())


def rows_of(table: pa.Table, density: np.ndarray | None, counted: np.ndarray, first: np.ndarray) -> list[Row]:
    """Rows for templates of the contract.

    Args:
        table: n of them.
        density: float32 (n, 2), NaN or None where nobody measured.
        counted: bool (n,), whether densities are measured among their identities.
        first: bool (n,), which of them stand for their identity when identities are counted.
    """
    known = np.full((len(table), 2), UNMEASURED) if density is None else np.where(np.isnan(density), UNMEASURED, density)
    columns = [table[name].to_pylist() for name in ("template_id", "identity", "source")]
    columns.append(pc.fill_null(table["quality"], UNMEASURED).to_pylist())
    values = zip(*columns, known.tolist(), counted.tolist(), first.tolist(), vectors_of(table), strict=True)
    return [
        {
            "key": key_of(template_id),
            "template_id": template_id,
            "identity": identity,
            "person": key_of(identity),
            "source": source,
            "density": near,
            "following": following,
            "quality": quality,
            "counted": of_counted,
            "first": stands,
            "vector": vector,
        }
        for template_id, identity, source, quality, (near, following), of_counted, stands, vector in values
    ]


def put(client: MilvusConnection, collection: str, rows: Sequence[Row], progress: Progress | None = None) -> None:
    """Write rows, each in the place of one with its key: what is repeated after a failure does no harm."""
    for start in range(0, len(rows), _ROWS):
        client.call("upsert", collection, list(rows[start : start + _ROWS]))
        if progress:
            progress("writing", min(start + _ROWS, len(rows)), len(rows))


def qualities_in(rows: Sequence[Row]) -> np.ndarray:
    """What the templates of rows that came back are worth, float32 (n,); NaN where nobody knows."""
    found = np.array([row.get("quality", UNMEASURED) for row in rows], np.float32)
    return np.where(found == UNMEASURED, np.float32(np.nan), found)


def longest_text(table: pa.Table) -> Iterator[tuple[str, str]]:
    """Ids, identities and sources that are too long for Milvus, by the names of their columns."""
    for name in ("template_id", "identity", "source"):
        for text in table[name].to_pylist():
            if text is not None and len(text) > _TEXT // 4 and len(text.encode()) > _TEXT:
                yield name, text


def vectors_in(rows: Sequence[Row], dim: int) -> np.ndarray:
    """The vectors of rows that came back: float32 (n, dim)."""
    return np.array([row["vector"] for row in rows], np.float32).reshape(len(rows), dim)


def search_settings(kind: IndexKind, effort: int | None) -> dict[str, Any]:
    """The settings of a search."""
    return {"metric_type": "IP", "params": {} if kind.effort is None else {kind.effort: effort}}


def efforts(kind: IndexKind) -> list[int]:
    """What a search may spend, in doublings."""
    steps = ceil(np.log2(kind.most / kind.least)) if kind.effort else -1
    return [min(kind.least << step, kind.most) for step in range(steps + 1)]
