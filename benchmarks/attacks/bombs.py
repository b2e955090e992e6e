"""Small files that become large, or say that they are: templates, projections and lists."""

import io
import json
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.attacks.case import Attack, Place
from engine.embedding.photographs import find_photographs
from engine.encoders.projection import read_projection
from engine.tables.lists import read_names
from engine.templates.parquet import read_templates


class Bombs(Attack):
    """By the file's format."""

    def lay(self, place: Place, chance: random.Random) -> str:
        made = chance.choice([_parquet, _parquet, _wide_parquet, _archive, _archive, _array, _list])
        return f"{made(place.work, chance).suffix.removeprefix('.')} {made.__name__.strip('_')}"

    def ask(self, place: Place, chance: random.Random) -> None:
        (file,) = place.work.iterdir()
        if file.suffix in (".csv", ".txt"):
            read_names(file) if chance.random() < 0.5 else find_photographs([place.work / "a.jpg"], str(file))
        elif file.suffix == ".npz" and chance.random() < 0.5:
            read_projection(file)
        elif file.suffix == ".parquet" and chance.random() < 0.2:
            read_names(file)
        else:
            read_templates(file)


def _parquet(work: Path, chance: random.Random) -> Path:
    """Many dimensions, long names that many rows share, notes without end."""
    rows = chance.choice([1, 100, 3000, 20_000])
    dim = chance.choice([2, 16, 4096, 70_000, 1_000_000])
    rows = max(1, min(rows, 20_000_000 // dim))
    flat = pa.array(np.full(rows * dim, 0.5, np.float32))
    vectors: pa.Array = pa.FixedSizeListArray.from_arrays(flat, dim)
    if chance.random() < 0.5:
        vectors = vectors.cast(pa.list_(pa.float32()))
    length = chance.choice([10, 1000, 60_000, 1_000_000, 20_000_000])
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * length]))
    columns = {chance.choice(["vector", "embedding"]): vectors, chance.choice(["identity", "template_id", "source"]): names}
    options = {
        "compression": chance.choice(["zstd", "gzip", "snappy", "lz4", "brotli", "none"]),
        "data_page_version": chance.choice(["1.0", "2.0"]),
        "use_dictionary": rows * length > 50_000_000 or chance.random() < 0.6,
        "data_page_size": chance.choice([1 << 10, 1 << 20, 1 << 30]),
    }
    table = pa.table(columns)
    if chance.random() < 0.2:
        deep = chance.choice([900, 90_000])
        table = table.replace_schema_metadata({"onek.provenance": "[" * deep + "]" * deep, "onek.format": "9" * deep})
    pq.write_table(table, work / "t.parquet", **options)
    return work / "t.parquet"


def _wide_parquet(work: Path, chance: random.Random) -> Path:
    """Thousands of columns, of row groups, or of lists in one another."""
    kind = chance.randrange(3)
    if kind == 0:
        table = pa.table({f"c{number}": pa.array([1.0]) for number in range(chance.choice([100, 5000]))})
        pq.write_table(table, work / "t.parquet")
    elif kind == 1:
        table = pa.table({"vector": [[1.0, 2.0]] * 2000, "identity": ["a"] * 2000})
        pq.write_table(table, work / "t.parquet", row_group_size=chance.choice([1, 10]))
    else:
        nested: pa.Array = pa.array([1.0])
        for _ in range(chance.choice([2, 30, 90])):
            nested = pa.ListArray.from_arrays(pa.array([0, len(nested)], pa.int32()), nested)
        pq.write_table(pa.table({"vector": nested, "identity": ["a"]}), work / "t.parquet")
    return work / "t.parquet"


def _header(shape: tuple[int, ...], kind: str, *, columns: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_2_0(stream, {"descr": kind, "fortran_order": columns, "shape": shape})
    return stream.getvalue()


def _archive(work: Path, chance: random.Random) -> Path:
    """Arrays that unpack to more than they are, or say so; that need a pickle; names that lead elsewhere."""
    way = chance.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(work / "t.npz", "w", way) as packed:
        for name in chance.sample(["vector", "embedding", "identity", "mean", "matrix", "said", "../../x", "/etc/x"], 3):
            with packed.open(f"{name}.npy", "w") as stream:
                if name == "said" and chance.random() < 0.7:
                    deep = chance.choice([10, 90_000])
                    said = b"[" * deep + b"]" * deep
                    stream.write(_header((len(said),), "|u1") + said)
                    continue
                shape = (chance.choice([1, 1 << 18, 1 << 40]), chance.choice([1, 64, 1 << 20]))
                kind = chance.choice(["<f4", "<f8", "<U100000", "|u1", "|O", "|V1000000000", "<c16"])
                stream.write(_header(shape, kind, columns=chance.random() < 0.3))
                for _ in range(chance.choice([1, 8, 40 if way == zipfile.ZIP_DEFLATED else 8])):
                    stream.write(bytes(1 << 20))
    data = (work / "t.npz").read_bytes()
    if chance.random() < 0.3:  # what the list at its end says of the sizes
        at = data.rindex(b"PK\x01\x02") + 20
        data = data[:at] + struct.pack("<2I", *(chance.choice([0, 1, 1 << 20, (1 << 32) - 1]) for _ in range(2))) + data[at + 8 :]
        (work / "t.npz").write_bytes(data)
    return work / "t.npz"


def _array(work: Path, chance: random.Random) -> Path:
    """A header that promises what is not there, or that a program would have to run."""
    shape = chance.choice([(1 << 40, 4), (1 << 62, 1 << 62), (-1, 4), (3, 70_000), (0, 16), (4,), (10**30, 1), (2, 2, 2)])
    data = _header(shape, chance.choice(["<f4", ">f8", "|O", "<U1000000", "|S1000000000", "<M8[ns]"]))
    if chance.random() < 0.3:
        at = 12
        length = chance.choice([100_000, 5_000_000])
        deep = b"(" * length if chance.random() < 0.5 else b"{'descr': __import__('os').system('touch x')}".ljust(length)
        data = data[:8] + struct.pack("<I", len(deep)) + deep + data[at:]
    (work / "t.npy").write_bytes(data + bytes(chance.choice([0, 64, 1 << 20])))
    return work / "t.npy"


def _list(work: Path, chance: random.Random) -> Path:
    """Tables with one endless row, column or name, and bytes that no text has."""
    size = chance.choice([1000, 1_000_000, 10_000_000])
    name = chance.choice(["x", "\0", '"', "\u202e", ",", "\n", "\r", "\x1b[2J", "=cmd()", "\ud800", "\U0001f469\u200d"])
    endless = name * (size // len(name))
    text = chance.choice(
        [
            f"path,identity\na.jpg,{endless}\n",
            f"path,identity\n{endless},kian\n",
            f"{endless}\n",
            f"path,identity{',x' * min(size, 1_000_000)}\na.jpg,kian\n",
            "path,identity\n" + f"a.jpg,{name}\n" * (size // 10),
            f'path,identity\n"{endless}',
            json.dumps([[[endless]]]),
        ]
    )
    file = work / chance.choice(["list.csv", "names.txt"])
    file.write_bytes(text.encode(chance.choice(["utf-8", "utf-16", "utf-8-sig", "utf-32"]), "surrogatepass"))
    return file
