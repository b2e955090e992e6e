"""Index files as somebody who means harm would write them: their hashes are right."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from indexes.approximate.pq_codes import centred, pretransformed
from indexes.files import read_index, write_index
from tests.indexes.vectors import cone

Held = tuple[dict[str, Any], dict[str, np.ndarray]]


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], object]) -> None:
    """Let `change` work on the settings and arrays of an index file."""
    kind, settings, arrays = read_index(path)
    change(settings, arrays)
    write_index(path, kind, settings, arrays)


def header(path: Path, **more: Any) -> None:
    """Change the header of an index file, and nothing behind it; what is None goes."""
    first, line, rest = path.read_bytes().split(b"\n", 2)
    said = {name: value for name, value in (json.loads(line) | more).items() if value is not None and name != "sha256"}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode() + rest).hexdigest()
    path.write_bytes(first + b"\n" + json.dumps(said | {"sha256": digest}).encode() + b"\n" + rest)


def former(path: Path, kind: str, payload: bytes, **settings: Any) -> None:
    """An index file of format 1, which held FAISS's bytes."""
    said = {"kind": kind, "bytes": len(payload), **settings}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode() + payload).hexdigest()
    path.write_bytes(b"onek index 1\n" + json.dumps(said | {"sha256": digest}).encode() + b"\n" + payload)


def faiss_bytes(name: str, vectors: np.ndarray) -> bytes:
    """An index of FAISS's own, as FAISS writes it: of one of its strings, or what `FAISS` names beside them."""
    if name == "binary":
        binary = faiss.IndexBinaryFlat(64)
        binary.add(np.zeros((len(vectors), 8), np.uint8))
        return faiss.serialize_index_binary(binary).tobytes()
    index = faiss.index_factory(vectors.shape[1], name)
    index.train(vectors)
    if name.startswith("IDMap"):
        index.add_with_ids(vectors, np.arange(len(vectors)))
    else:
        index.add(vectors)
    return faiss.serialize_index(index).tobytes()


def on_disk(victim: Path, vectors: np.ndarray, scratch: Path) -> bytes:
    """An index of FAISS's whose lists lie in the file `victim`, into which FAISS would write what is added."""
    lists = faiss.index_factory(vectors.shape[1], "IVF4,Flat")
    lists.train(vectors)
    disk = faiss.OnDiskInvertedLists(4, lists.code_size, str(scratch))
    lists.replace_invlists(disk, False)
    lists.add(vectors)
    disk.filename = str(victim)
    data = faiss.serialize_index(pretransformed(centred(vectors), lists)).tobytes()
    assert str(victim).encode() in data
    return data


FAISS = [
    "Flat", "IDMap,Flat", "IDMap2,Flat", "PCA8,Flat", "L2norm,Flat", "HNSW8", "NSG8", "LSH", "SQ8", "PQ4x4fs", "RaBitQ",
    "IVF4,Flat", "IVF4,PQ4x4fs", "IVF4,SQ8,RFlat", "IVF4_HNSW4,Flat", "IMI2x2,Flat", "binary",
]  # fmt: skip
"""What `faiss_bytes` makes."""

VECTORS = cone(1100, 16, 0)
