"""Files as FAISS itself writes them, of every kind, in the places of a gallery where an older one had them."""

import hashlib
import json
import random
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.attacks.case import DIM, OfGallery, Place, vectors
from indexes.registry import load_index

_COUNT = 300
# Between them every type of index, of lists and of transform that strings can ask for.
_STRINGS = (
    *("Flat", "IDMap,Flat", "IDMap2,Flat", "PCA8,Flat", "PCAR8,Flat", "OPQ4,PQ4x4", "L2norm,Flat", "Pad32,Flat", "RR8,Flat"),
    *("HNSW8", "HNSW8,SQ8", "HNSW8,PQ4x4", "NSG8", "NSG8,PQ4x4", "NSG8,SQ8", "LSH", "LSHr", "LSHt", "ITQ8,LSH"),
    *("SQ8", "SQ6", "SQ4", "SQfp16", "SQbf16", "SQ8_direct", "PQ4x4", "PQ4x4np", "PQ4x4fs", "RaBitQ", "RaBitQfs"),
    *(
        "RQ2x4",
        "LSQ2x4",
        "PRQ2x2x4",
        "PLSQ2x2x4",
        "RQ4x4fs_Nrq2x4",
        "LSQ4x4fs_Nlsq2x4",
        "PRQ2x2x4fs_Nrq2x4",
        "PLSQ2x2x4fs_Nlsq2x4",
        "ZnLattice2x4_4",
    ),
    *("IVF4,Flat", "IVF4,FlatDedup", "IVF4,SQ8", "IVF4,PQ4x4", "IVF4,PQ4x4np", "IVF4,PQ4x4fs", "IVF4,PQ4x4fsr", "IVF4,RaBitQ"),
    *("IVF4,PQ4+4", "IVF4,RQ2x4", "IVF4,LSQ2x4", "IVF4,PRQ2x2x4", "IVF4,PLSQ2x2x4", "IVF4,RQ4x4fs_Nrq2x4"),
    *("IVF4,SQ8,RFlat", "IVF4,PQ4x4,Refine(SQfp16)", "IVF4_HNSW4,Flat", "IVF128_NSG4,Flat", "IVF16(IVF4,Flat),Flat"),
    *("IMI2x2,Flat", "IMI2x2,PQ4x4", "Residual4,PQ4x4", "Residual2x2,PQ4x4", "RR8,IVF4,PQ4x4"),
)
_BITS = ("BFlat", "BIVF2", "BIVF2_HNSW4", "BHNSW4", "BHash4", "BHash2x4")
_NUMBERS = (-(1 << 63), -1, 0, 1, 7, 255, 1 << 16, 1 << 20, (1 << 31) - 1, 1 << 32, (1 << 53) + 1, (1 << 63) - 1)


class Payloads(OfGallery):
    """Whole, or with numbers over some of their bytes; as a file of a gallery, and alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._made: dict[str, Callable[[Place], bytes]] = {
            **{f"string {string}": _always(_of_string, string) for string in _STRINGS},
            **{f"bits {string}": _always(_of_bits, string) for string in _BITS},
            **{f"lists on disk {string}": partial(_on_disk, string) for string in ("Flat", "SQ8", "PQ4x4")},
            **{f"class {make.__name__.strip('_')}": _always(make) for make in _CLASSES},
            "many in one another": _always(_nested),
            "a transform alone": _always(_transform),
            "a quantiser alone": _always(_quantiser),
            "lists of a file that it names": _named_lists,
        }
        made = folder.parent / "payloads"
        made.mkdir(exist_ok=True)
        self._cache = made

    def lay(self, place: Place, chance: random.Random) -> str:
        path = self.copied(place, chance)
        name = chance.choice(list(self._made))
        data = bytearray(self._payload(name, place))
        for _ in range(chance.choice([0, 0, 1, 4])):
            at = chance.randrange(len(data))
            data[at : at + 8] = chance.choice(_NUMBERS).to_bytes(8, "little", signed=True)
        file = path / chance.choice(["segment-000001.index"] * 8 + ["segment-000001.vectors.npy"])
        file.write_bytes((_head(data) if chance.random() < 0.7 else b"") + data)
        former = chance.choice(["4", "4", "4", "5", "5", "3"])
        with closing(sqlite3.connect(path / "catalogue.sqlite")) as database, database:
            part = "index" if file.suffix == ".index" else "vectors"
            recorded = (file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())
            database.execute(f"UPDATE segments SET {part}_bytes = ?, {part}_sha256 = ?", recorded)  # noqa: S608
            database.execute("UPDATE gallery SET value = ? WHERE key = 'format'", (former,))
        return name

    def ask(self, place: Place, chance: random.Random) -> None:
        if chance.random() < 0.3:
            index = load_index(place.work / "g" / "segment-000001.index", vectors(40))
            index.search(vectors(3), 3)
            return
        super().ask(place, chance)

    def _payload(self, name: str, place: Place) -> bytes:
        """What FAISS writes of that name; made once, but where it names a file of the case's."""
        file = self._cache / hashlib.sha256(name.encode()).hexdigest()
        if not file.exists():
            made = self._made[name](place)
            if "disk" in name or "names" in name:
                return made
            file.write_bytes(made)
        return file.read_bytes()


def _always(make: Callable[..., bytes], *given: str) -> Callable[[Place], bytes]:
    """What is the same wherever a case lies."""
    return lambda _: make(*given)


def _head(data: bytearray) -> bytes:
    """Of an index file of the format that had FAISS's bytes behind it, with their hash."""
    said: dict[str, Any] = {
        "kind": "factory",
        "bytes": len(data),
        "effort": {"visits": 2, "shortlist": 4},
        "factory": "HNSW8",
    }
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode() + data).hexdigest()
    return b"onek index 1\n" + json.dumps(said | {"sha256": digest}).encode() + b"\n"


def _filled(index: Any) -> Any:
    made = vectors(_COUNT)
    index.train(made)
    if isinstance(index, faiss.IndexIDMap | faiss.IndexIDMap2):
        index.add_with_ids(made, np.arange(_COUNT))
    else:
        index.add(made)
    return index


def _written(index: Any) -> bytes:
    write = faiss.serialize_index_binary if isinstance(index, faiss.IndexBinary) else faiss.serialize_index
    return bytes(write(index).tobytes())


def _of_string(string: str) -> bytes:
    return _written(_filled(faiss.index_factory(DIM, string)))


def _of_bits(string: str) -> bytes:
    index = faiss.index_binary_factory(64, string)
    bits = np.random.default_rng(0).integers(0, 256, (_COUNT, 8), np.uint8)
    index.train(bits)
    index.add(bits)
    return _written(index)


def _on_disk(string: str, place: Place, named: str | None = None) -> bytes:
    """Inverted lists in a file: FAISS opens whatever it is called, for writing."""
    lists: Any = faiss.index_factory(DIM, f"IVF4,{string}")
    lists.train(vectors(_COUNT))
    disk = faiss.OnDiskInvertedLists(4, lists.code_size, str(place.work / "lists"))
    lists.replace_invlists(disk, False)
    lists.add(vectors(_COUNT))
    disk.filename = named or str(place.canary / "precious")
    return _written(lists)


def _named_lists(place: Place) -> bytes:
    return _on_disk("Flat", place, "../../canary/precious")


def _nested() -> bytes:
    inner: Any = faiss.IndexFlatL2(DIM)
    held = [inner]
    for number in range(200):
        held.append((faiss.IndexIDMap if number % 2 else faiss.IndexIDMap2)(held[-1]))
    return _written(held[-1])


def _transform() -> bytes:
    writer: Any = faiss.VectorIOWriter()
    transform = faiss.PCAMatrix(DIM, 8)
    transform.train(vectors(_COUNT))
    faiss.write_VectorTransform(transform, writer)
    return bytes(faiss.vector_to_array(writer.data).tobytes())


def _quantiser() -> bytes:
    library: Any = faiss
    writer, quantiser = library.VectorIOWriter(), library.ProductQuantizer(DIM, 4, 4)
    quantiser.train(vectors(_COUNT))
    library.write_ProductQuantizer(quantiser, writer)
    return bytes(faiss.vector_to_array(writer.data).tobytes()) + struct.pack("<q", -1)


def _flat_1d() -> bytes:
    index = faiss.IndexFlat1D()
    index.add(vectors(_COUNT)[:, :1].copy())
    return _written(index)


def _inner_product() -> bytes:
    return _written(_filled(faiss.IndexFlatIP(DIM)))


def _spectral_hash() -> bytes:
    library: Any = faiss
    centres = library.IndexFlatL2(DIM)
    return _written(_filled(library.IndexIVFSpectralHash(centres, DIM, 4, 8, 1.0)))


def _descent() -> bytes:
    return _written(_filled(faiss.IndexNNDescentFlat(DIM, 8, faiss.METRIC_L2)))


def _bits_of_floats() -> bytes:
    inner = faiss.IndexFlatL2(64)
    index = faiss.IndexBinaryFromFloat(inner)
    index.add(np.zeros((4, 8), np.uint8))
    return _written(index)


_CLASSES = (_flat_1d, _inner_product, _spectral_hash, _descent, _bits_of_floats)
