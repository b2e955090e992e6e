"""Attacks by somebody who knows onek: whole files with right hashes that hold what onek never writes.

`fuzz` damages bytes; here every case is made on purpose, and what it did is looked up afterwards: memory, time, and a
folder that nothing may touch.
"""

import faulthandler
import hashlib
import io
import json
import os
import random
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys
import time
import traceback
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.durability.fuzz import STRINGS
from engine.encoders.projection import read_projection
from engine.errors import OnekError
from engine.faces.images import decode
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.templates.parquet import Templates, read_templates
from indexes.approximate.faiss_factory import Factory
from indexes.files import read_index, write_index
from indexes.registry import KINDS, load_index

SECONDS, BYTES = 10.0, 512 << 20
"""The longest that one case may compute, and the most that it may add to the memory; one that waits for three times as long is
ended.
"""

_DIM, _PEOPLE = 16, 1100
SHARES = {"indexes": 12, "bombs": 2, "links": 3, "catalogues": 2, "payloads": 1}
"""Of 20 cases, so many are of each kind: those of whole galleries take the longest."""
# Files of FAISS's own: of each of these strings, and as `_foreign_payload` makes them besides.
_FAISS = (
    *("Flat", "IDMap,Flat", "IDMap2,Flat", "PCA8,Flat", "L2norm,Flat", "HNSW8", "NSG8", "LSH", "SQ8", "SQ4", "SQfp16", "PQ4x4"),
    *("PQ4x4fs", "RaBitQ", "IVF4,Flat", "IVF4,PQ4x4fs", "IVF4,SQ8,RFlat", "IVF4_HNSW4,Flat", "IMI2x2,Flat", "RR8,IVF4,PQ4x4"),
    *("IVF4,PQ4x4,Refine(SQfp16)", "ITQ8,LSH", "ZnLattice2x4_4", "RQ2x4", "LSQ2x4", "IVF4,RQ2x4", "HNSW4,SQ8"),
)
_STATEMENTS = (
    "CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {other}; END",
    "CREATE TRIGGER t AFTER DELETE ON {table} BEGIN INSERT INTO kept SELECT * FROM {other}; END",
    "ALTER TABLE {table} RENAME TO x; CREATE VIEW {table} AS SELECT * FROM x",
    "ALTER TABLE {table} RENAME TO x; CREATE VIEW {table} AS WITH RECURSIVE r(a) AS (SELECT 1 UNION ALL SELECT a FROM r) "
    "SELECT a FROM r",
    "ALTER TABLE {table} ADD COLUMN more TEXT AS (hex({number}))",
    "ALTER TABLE {table} ADD COLUMN more TEXT DEFAULT 'x'",
    "CREATE INDEX more ON {table}(hex({number}))",
    "CREATE VIRTUAL TABLE more USING rtree(id, a, b)",
    "CREATE TABLE more (a CHECK (a > {number}))",
    "DROP TABLE {table}",
    "DELETE FROM {table}",
    "UPDATE gallery SET value = '{number}' WHERE key = '{key}'",
    "UPDATE gallery SET value = '{deep}' WHERE key = '{key}'",
    "UPDATE gallery SET value = x'ff{hex}' WHERE key = '{key}'",
    "UPDATE gallery SET value = zeroblob(3000000) WHERE key = '{key}'",
    "UPDATE gallery SET value = json_set(value, '$.factory', '{string}') WHERE key = 'asked'",
    "UPDATE gallery SET value = json_set(value, '$.dim', {number}) WHERE key = 'provenance'",
    "UPDATE gallery SET value = json_set(value, '$.encoder', '{path}', '$.projection', '{path}') WHERE key = 'provenance'",
    "UPDATE gallery SET value = json_set(value, '$.fuse', {number}, '$.neighbours', {number}) WHERE key = 'scoring'",
    "UPDATE segments SET name = '{path}'",
    "UPDATE segments SET kind = '{path}'",
    "UPDATE segments SET templates = {number}",
    "UPDATE segments SET operating = '{deep}'",
    "UPDATE segments SET {column} = {number}",
    "INSERT INTO removed VALUES ('segment-000001', {number})",
    "INSERT INTO renamed VALUES ('segment-000001', 'id1', '{path}')",
    "UPDATE recent SET {recent} = {number}",
    "UPDATE recent SET vector = zeroblob({small})",
    "PRAGMA user_version = {small}; PRAGMA application_id = {small}",
)
_NUMBERS = (-(1 << 63), -1, 0, 1, 7, 255, 1 << 16, 1 << 20, (1 << 31) - 1, 1 << 32, (1 << 53) + 1, (1 << 63) - 1)
_LINKS = (
    *("catalogue.sqlite", "catalogue.sqlite-wal", "catalogue.sqlite-shm", "catalogue.sqlite-journal", "catalogue.sha256"),
    *("writer.lock", "writer.json", "segment-000001.index", "segment-000001.vectors.npy", "segment-000001.parquet"),
    *("segment-000002.parquet", "segment-000002.index", "segment-000002.vectors.npy"),
)


@dataclass(frozen=True)
class Attacked:
    """`cases` were tried, `refused` of them with an error of ours, and none wrote beyond its folder; the most `memory` that one
    added, in bytes, and the most `seconds` that one computed.
    """

    kind: str
    cases: int
    refused: int
    memory: int
    seconds: float


class _Attack(ABC):
    """One kind of attack: `whole` is made once; `case` makes one, numbered, of a copy and gives what the victim does then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    @abstractmethod
    def case(self, work: Path, chance: random.Random, canary: Path) -> Callable[[], None]:
        """Lay out a case in `work`, which may point to `canary`; and what is asked then."""


class _OfGallery(_Attack):
    """Of a gallery with an approximate index of a string, and changes since."""

    string: str | None = "IVF4,SQ8"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        gallery = Gallery.build(_people(0, 120), folder / "g", factory=self.string, score="plain")
        gallery.enroll(_people(100, 103))
        gallery.remove(["id5"])
        gallery.rename("id6", "six")
        gallery.close()

    def copied(self, work: Path) -> Path:
        return Path(shutil.copytree(self.folder / "g", work / "g"))


class Indexes(_Attack):
    """Our index files of every kind, with layouts, sizes and numbers changed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.vectors = _vectors(_PEOPLE)
        made = [KINDS[kind].build(self.vectors) for kind in KINDS if kind != Factory.kind]
        made += [Factory.build(self.vectors, factory=string) for string in STRINGS]
        self.files = []
        for number, index in enumerate(made):
            self.files.append(folder / f"{number}.index")
            index.save(self.files[-1])

    def case(self, work: Path, chance: random.Random, canary: Path) -> Callable[[], None]:  # noqa: ARG002
        kind, settings, arrays = read_index(chance.choice(self.files))
        for _ in range(chance.randint(1, 3)):
            _twist(settings, arrays, chance)
        write_index(work / "x.index", chance.choice([kind] * 8 + list(KINDS)), settings, arrays)

        def ask() -> None:
            index = load_index(work / "x.index", self.vectors)
            index.search(self.vectors[:3], chance.choice([1, 3, 200]))

        return ask


class Payloads(_OfGallery):
    """FAISS's own bytes where a gallery of a former format, or of the present one, has its index."""

    def case(self, work: Path, chance: random.Random, canary: Path) -> Callable[[], None]:
        path = self.copied(work)
        vectors = np.load(path / "segment-000001.vectors.npy")
        data = bytearray(_foreign_payload(chance, vectors, canary, work))
        for _ in range(chance.choice([0, 0, 1, 4])):
            at = chance.randrange(len(data))
            data[at : at + 8] = chance.choice(_NUMBERS).to_bytes(8, "little", signed=True)
        former = chance.random() < 0.6
        file = path / "segment-000001.index"
        said: dict[str, Any] = {
            "kind": "factory",
            "bytes": len(data),
            "effort": {"visits": 2, "shortlist": 4},
            "factory": "HNSW8",
        }
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode() + data).hexdigest()
        head = b"onek index 1\n" + json.dumps(said | {"sha256": digest}).encode() + b"\n"
        file.write_bytes((head if chance.random() < 0.8 else b"") + data)
        with closing(sqlite3.connect(path / "catalogue.sqlite")) as database, database:
            recorded = (file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())
            database.execute("UPDATE segments SET index_bytes = ?, index_sha256 = ?", recorded)
            database.execute("UPDATE gallery SET value = ? WHERE key = 'format'", ("4" if former else "5",))
        return _used(path, chance)


class Catalogues(_OfGallery):
    """Catalogues with a schema that is not ours, or values that ours never has."""

    def case(self, work: Path, chance: random.Random, canary: Path) -> Callable[[], None]:
        path = self.copied(work)
        tables = ("gallery", "segments", "removed", "renamed", "recent")
        with closing(sqlite3.connect(path / "catalogue.sqlite")) as database:
            for _ in range(chance.choice([1, 1, 2])):
                values = {
                    "table": chance.choice(tables),
                    "other": chance.choice(tables),
                    "number": chance.choice(_NUMBERS),
                    "small": chance.choice([0, 4, 63, 64, 65, 4096]),
                    "key": chance.choice(
                        ["format", "id", "version", "provenance", "asked", "scoring", "calibration", "measured"]
                    ),
                    "deep": "[" * (deep := chance.choice([1, 900, 90_000])) + "]" * deep,
                    "hex": "00" * chance.randrange(40),
                    "string": chance.choice(
                        ["IVF99999999,Flat", "HNSW999999", "PQ8x30", "IMI4x16,Flat", "LSH", "(", "IVF8(" * 9]
                    ),
                    "path": chance.choice([f"../{canary.name}", str(canary / "x"), "s3://bucket/net.onnx", "/etc/passwd"]),
                    "column": chance.choice(["rows_bytes", "vectors_bytes", "index_bytes", "density_bytes", "rows_sha256"]),
                    "recent": chance.choice(
                        [
                            "number",
                            "template_id",
                            "identity",
                            "source",
                            "face",
                            "box",
                            "quality",
                            "detection",
                            "reasons",
                            "checksum",
                        ]
                    ),
                }
                try:
                    database.executescript(chance.choice(_STATEMENTS).format(**values))
                except sqlite3.Error:
                    database.rollback()
        if chance.random() < 0.5:
            (path / "catalogue.sha256").unlink(missing_ok=True)
        return _used(path, chance)


class Links(_OfGallery):
    """Links, pipes and folders where a gallery has its files, and beside what is written."""

    def case(self, work: Path, chance: random.Random, canary: Path) -> Callable[[], None]:
        path = self.copied(work)
        for _ in range(chance.randint(1, 2)):
            place = path / chance.choice(_LINKS)
            shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink(missing_ok=True)
            kind = chance.randrange(6)
            if kind == 0:
                os.mkfifo(place)
            elif kind == 1:
                place.mkdir()
            else:
                place.symlink_to(canary / chance.choice(["precious", "folder", "absent"]))
        for name in ("copy", "t.parquet", "copy.partial"):
            if chance.random() < 0.3:
                (work / f".{name}.{chance.choice(['99999', 'abcdefgh'])}.{chance.choice(['partial', 'replaced'])}").symlink_to(
                    canary / chance.choice(["precious", "folder"])
                )
        return _used(path, chance)


class Bombs(_Attack):
    """Small files that become large."""

    def case(self, work: Path, chance: random.Random, canary: Path) -> Callable[[], None]:  # noqa: ARG002
        make: Any = chance.choice([_parquet_bomb, _parquet_bomb, _archive_bomb, _png_bomb, _jpeg_bomb])
        file = make(work, chance)
        if file.suffix == ".parquet":
            return lambda: _drop(read_templates(file))
        if file.suffix == ".npz":
            read: Any = chance.choice([read_templates, read_projection])
            return lambda: _drop(read(file))
        return lambda: _drop(decode(file))


ATTACKS: dict[str, type[_Attack]] = {
    "indexes": Indexes,
    "payloads": Payloads,
    "catalogues": Catalogues,
    "links": Links,
    "bombs": Bombs,
}


def attack(kind: str, count: int, folder: Path, start: int = 0) -> Attacked:
    """Try `count` cases of a kind below `folder`.

    Raises:
        AssertionError: one ended otherwise than in an answer or an error of ours, took too long or too much memory, or something
            outside of its folder changed; says which case, so that `start` can be set to it.
    """
    made = ATTACKS[kind](folder / "whole")
    canary, work = folder / "canary", folder / "work"
    (canary / "folder").mkdir(parents=True)
    (canary / "precious").write_bytes(b"dear diary" * 2000)
    (canary / "folder" / "inside").write_text("precious")
    watched = _looks(canary, folder / "whole")
    refused, slowest, largest = 0, 0.0, 0
    for number in range(start, start + count):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        ask = made.case(work, random.Random(number), canary)
        _forget_peak()
        faulthandler.dump_traceback_later(3 * SECONDS, exit=True)
        before, began = _peak(), time.process_time()
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                ask()
        except OnekError as error:
            refused += 1
            if "\n" in str(error):
                raise AssertionError(f"{kind} {number}: more than one line: {error}") from error
        except Exception as error:
            raise AssertionError(f"{kind} {number}: {traceback.format_exc(limit=-6)}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
        took, added = time.process_time() - began, _peak() - before
        slowest, largest = max(slowest, took), max(largest, added)
        if took > SECONDS or added > BYTES:
            raise AssertionError(f"{kind} {number}: {took:.1f} s and {added >> 20} MiB")
        if _looks(canary, folder / "whole") != watched or {each.name for each in folder.iterdir()} != {"whole", "canary", "work"}:
            raise AssertionError(f"{kind} {number}: something outside was written")
    return Attacked(kind, count, refused, largest, slowest)


def attack_apart(kind: str, count: int, folder: Path, start: int = 0) -> Attacked:
    """As `attack`, in a process of its own, so that the crash of a library is seen as well.

    Raises:
        OnekError: it failed, or the process died; says how.
    """
    job = [sys.executable, "-m", __name__, kind, str(count), str(folder), str(start)]
    done = subprocess.run(job, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OnekError(f"{kind} failed ({done.returncode}): {done.stderr.strip()[-1500:]}")
    return Attacked(**json.loads(done.stdout.splitlines()[-1]))


def _used(path: Path, chance: random.Random) -> Callable[[], None]:
    """What its owner may do with a gallery that he was given; the first error stands for all."""

    def change() -> None:
        gallery = Gallery.open(path)
        gallery.enroll(_people(200, 201))
        gallery.remove(["id200"])
        gallery.close()

    todo: list[Callable[[], None]] = [
        lambda: _drop(Gallery.open(path).identify(_vectors(3), threshold=0.5)),
        lambda: _drop(Gallery.open(path).info()),
        lambda: _drop(check(path)),
        *chance.sample([change, lambda: _drop(Gallery.open(path).compact()), lambda: _copy(path), lambda: _merge(path)], 2),
    ]

    def ask() -> None:
        errors = []
        for each in todo:
            try:
                each()
            except OnekError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    return ask


def _copy(path: Path) -> None:
    Gallery.open(path).backup(path.with_name("copy"), overwrite=True)


def _merge(path: Path) -> None:
    Gallery.merge([path], path.with_name("merged"), overwrite=True)


def _drop(_: object) -> None:
    """An answer is as good as any."""


def _vectors(count: int) -> np.ndarray:
    made = np.random.default_rng(0).normal(size=(count, _DIM)).astype(np.float32)
    return np.ascontiguousarray(made / np.linalg.norm(made, axis=1, keepdims=True))


def _people(first: int, last: int) -> Templates:
    names = [f"id{number}" for number in range(first, last)]
    made = np.random.default_rng(first).normal(size=(last - first, _DIM))
    return Templates.from_vectors(made, names, [f"{name}#0" for name in names])


def _twist(settings: dict[str, Any], arrays: dict[str, np.ndarray], chance: random.Random) -> None:
    """Change one thing of an index file, which stays whole."""
    name = chance.choice(sorted(arrays)) if arrays else None
    what = chance.randrange(8) if name is not None else 7
    if name is None or what == 7:
        key = chance.choice(sorted(settings) or ["layout"])
        settings[key] = chance.choice(
            [None, -1, 1 << 70, [], {}, "Flat", [["IndexFlat"] * 3], ["IndexPreTransform", ["IndexIVFPQ"]]]
        )
        if isinstance(settings.get("effort"), dict):
            settings["effort"][chance.choice(["visits", "shortlist"])] = chance.choice([0, -1, 1 << 62, 1.5, "x"])
        return
    array = arrays[name].copy()
    if what == 0:
        del arrays[name]
        return
    if what == 1 and array.size:
        array.ravel()[chance.randrange(array.size)] = chance.choice([0, 1, 2, 255 if array.dtype == np.uint8 else 1 << 30])
    elif what == 2:
        array = array[: chance.randrange(len(array) + 1)]
    elif what == 3:
        array = np.concatenate([array] * chance.choice([2, 3, 9]))
    elif what == 4:
        array = array.reshape(-1)
    elif what == 5:
        array = array.astype(chance.choice(["<f4", "<i4", "<i8", "|u1"]))
    elif array.dtype.kind == "f" and array.size:
        array.ravel()[chance.randrange(array.size)] = chance.choice([np.nan, np.inf, -np.inf, 3e38, -1e7])
    else:
        array = np.full_like(array, chance.choice([0, 1, 127]))
    arrays[name] = array


def _foreign_payload(chance: random.Random, vectors: np.ndarray, canary: Path, work: Path) -> bytes:
    """An index as FAISS writes it: of a string, of bits, of several, or with lists in a file that it names."""
    kind = chance.randrange(6)
    if kind == 0:
        binary = faiss.index_binary_factory(64, chance.choice(["BFlat", "BIVF2", "BHNSW4", "BHash8"]))
        binary.train(np.zeros((len(vectors), 8), np.uint8))
        binary.add(np.zeros((len(vectors), 8), np.uint8))
        return bytes(faiss.serialize_index_binary(binary).tobytes())
    if kind == 1:
        lists: Any = faiss.index_factory(_DIM, chance.choice(["IVF4,Flat", "IVF4,SQ8", "IVF4,PQ4x4"]))
        lists.train(vectors)
        disk = faiss.OnDiskInvertedLists(4, lists.code_size, str(work / "lists"))
        lists.replace_invlists(disk, False)
        lists.add(vectors)
        disk.filename = str(canary / "precious")
        return bytes(faiss.serialize_index(lists).tobytes())
    if kind == 2:
        inner: Any = faiss.IndexFlatL2(_DIM)
        for _ in range(chance.choice([1, 3, 40])):  # one in another
            inner = chance.choice([faiss.IndexIDMap, faiss.IndexIDMap2])(inner)
        return bytes(faiss.serialize_index(inner).tobytes())
    index: Any = faiss.index_factory(_DIM, chance.choice(_FAISS))
    index.train(vectors)
    if hasattr(index, "id_map"):
        index.add_with_ids(vectors, np.arange(len(vectors)))
    else:
        index.add(vectors)
    return bytes(faiss.serialize_index(index).tobytes())


def _parquet_bomb(work: Path, chance: random.Random) -> Path:
    rows = chance.choice([1, 100, 3000, 20_000])
    dim = chance.choice([2, 16, 4096, 70_000, 1_000_000])
    rows = max(1, min(rows, 40_000_000 // dim))
    flat = pa.array(np.full(rows * dim, 0.5, np.float32))
    vectors: pa.Array = pa.FixedSizeListArray.from_arrays(flat, dim)
    if chance.random() < 0.5:
        vectors = vectors.cast(pa.list_(pa.float32()))
    length = chance.choice([10, 1000, 60_000, 1_000_000, 20_000_000])
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * length]))
    columns = {chance.choice(["vector", "embedding"]): vectors, chance.choice(["identity", "template_id", "source"]): names}
    options = {"compression": chance.choice(["zstd", "gzip", "snappy"]), "data_page_version": chance.choice(["1.0", "2.0"])}
    pq.write_table(pa.table(columns), work / "t.parquet", **options)
    return work / "t.parquet"


def _archive_bomb(work: Path, chance: random.Random) -> Path:
    with zipfile.ZipFile(work / "t.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name in chance.sample(["vector", "embedding", "identity", "mean", "matrix", "said"], 2):
            with packed.open(f"{name}.npy", "w") as stream:
                shape = (chance.choice([1, 1 << 18, 1 << 40]), chance.choice([1, 64, 1 << 20]))
                kind = chance.choice(["<f4", "<f8", "<U100000", "|u1"])
                np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
                for _ in range(chance.choice([1, 8, 40])):
                    stream.write(bytes(1 << 22))
    return work / "t.npz"


def _png_bomb(work: Path, chance: random.Random) -> Path:
    width, height = chance.choice([(60_000, 60_000), (4000, 4000), (10_000, 10_001), (1 << 31, 1), (3000, 3000)])
    depth, colour, pixel = chance.choice([(16, 0, 2), (16, 6, 8), (8, 2, 3), (1, 0, 1)])
    data = zlib.compress(bytes(min(1 << 25, height * (1 + width * pixel))), 1)

    def block(name: bytes, held: bytes) -> bytes:
        return struct.pack(">I", len(held)) + name + held + struct.pack(">I", zlib.crc32(name + held))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    more = block(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 24))) if chance.random() < 0.3 else b""
    parts = block(b"IHDR", header) + more + block(b"IDAT", data) + block(b"IEND", b"")
    (work / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return work / "a.png"


def _jpeg_bomb(work: Path, chance: random.Random) -> Path:
    buffer = io.BytesIO()
    side = chance.choice([200, 1000, 3000])
    Image.new("RGB", (side, side), "grey").save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    (work / "a.jpg").write_bytes(data[:-2] + last * chance.choice([10, 85, 5000]) + data[-2:])
    return work / "a.jpg"


def _looks(*folders: Path) -> list[tuple[str, int, int, int]]:
    """What would show that something was written."""
    return [
        (str(file), found.st_size, found.st_mtime_ns, found.st_mode)
        for folder in folders
        for file in (folder, *sorted(folder.rglob("*")))
        if (found := file.lstat()) is not None
    ]


def _forget_peak() -> None:
    """Let the system count the peak of memory anew (Linux; elsewhere the peak of all cases is the peak of each)."""
    with open("/proc/self/clear_refs", "w") if Path("/proc/self/clear_refs").exists() else io.StringIO() as stream:  # noqa: PTH123
        stream.write("5")


def _peak() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    found = attack(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
