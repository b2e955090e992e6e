"""Removing a person from template files and results files, and checking afterwards that nothing is left."""

import csv
import json
import mmap
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.answers.results import SCHEMA
from engine.answers.results_files import results_file
from engine.errors import GalleryError, OnekError
from engine.files.atomic_files import UNREADABLE, whole_file
from engine.files.escaping import plainly
from engine.storage.catalogue import NAME

_ENDINGS = (".parquet", ".csv", ".json", ".jsonl")


def forget_in_file(path: Path, identity: str) -> int:
    """Write a template file or results file again without one person, and check it. Returns how many rows named the person.

    A template of the person goes, and so does a result that says it is the person; other results lose the person as a candidate.

    Raises:
        OnekError: it is no file of onek's, is damaged, or still speaks of the person afterwards.
        OutputError: it cannot be written.
    """
    name = unicodedata.normalize("NFC", identity)
    try:
        spoke = _forget_templates(path, name) if _is_template_file(path) else _forget_results(path, name)
        left = _speaking(_identities(path), name)
    except (*UNREADABLE, KeyError, TypeError, csv.Error) as error:
        raise OnekError(f"{path} cannot be read as templates or results of onek: {error}") from error
    if left:
        raise OnekError(f"{path} still speaks of {identity}; say onek erase again")
    return spoke


def require_ours(path: Path) -> None:
    """Refuse, before anything is erased, a file that is neither templates nor results. Raises `OnekError`."""
    try:
        if path.suffix.lower() not in _ENDINGS or not path.is_file():
            raise OnekError(
                f"{path}: expected a gallery in a folder, a template file, or a results file (.parquet, .csv, .json, .jsonl)"
            )
        if not _is_template_file(path):
            _results(path)
    except (*UNREADABLE, KeyError, TypeError, csv.Error) as error:
        raise OnekError(f"{path} cannot be read as templates or results of onek: {error}") from error


def look_for_bytes(folder: Path, vectors: np.ndarray) -> list[dict[str, Any]]:
    """Look for vectors (m, d), as float32, in every file of a compacted gallery but its catalogue, which compaction has searched
    and which no other handle may touch (`engine.storage.catalogue.digest`), and say of each file how many were found.

    Raises:
        GalleryError: one is there.
    """
    looked = []
    wanted = [row.tobytes() for row in np.ascontiguousarray(vectors, "<f4")]
    for file in sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith(NAME)):
        found = max((sum(held.find(row) >= 0 for row in wanted) for held in _contents(file)), default=0)
        if found:
            raise GalleryError(f"{file} still holds {found} of the vectors; say onek compact")
        looked.append({"file": file.name, "vectors_found": found})
    return looked


def _contents(file: Path) -> Iterator[bytes | mmap.mmap]:
    """The bytes of a file; of Parquet, which is compressed, those of its vectors."""
    if file.suffix == ".parquet":
        for part in pq.ParquetFile(file).iter_batches(columns=["vector"]):
            yield np.ascontiguousarray(part["vector"].flatten().to_numpy(), "<f4").tobytes()
    elif file.stat().st_size:
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as held:
            yield held


def _is_template_file(path: Path) -> bool:
    return path.suffix.lower() == ".parquet" and b"onek.format" in (pq.read_schema(path).metadata or {})


def _forget_templates(path: Path, name: str) -> int:
    before = pq.read_table(path)
    stays = pa.array([each is None or unicodedata.normalize("NFC", each) != name for each in before["identity"].to_pylist()])
    after = before.filter(stays)
    with whole_file(path) as temporary:
        pq.write_table(after, temporary, compression="zstd")
    return len(before) - len(after)


def _forget_results(path: Path, name: str) -> int:
    rows = _results(path)
    spoke = _speaking(_named(rows), name)
    kept = [
        {**row, "candidates": [each for each in row["candidates"] if each["identity"] != name]}
        for row in rows
        if row["identity"] != name
    ]
    with results_file(path) as writer:
        writer.write(pa.Table.from_pylist(kept, schema=SCHEMA))
    return spoke


def _results(path: Path) -> list[dict[str, Any]]:
    """The rows of a results file; what an older onek did not write is null."""
    ending = path.suffix.lower()
    rows: list[dict[str, Any]]
    if ending == ".parquet":
        rows = pq.read_table(path).to_pylist()
    elif ending == ".csv":
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [_typed(row) for row in csv.DictReader(stream)]
    elif ending == ".json":
        rows = json.loads(path.read_text(encoding="utf-8"))
    else:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        if "decision" not in row or "candidates" not in row:
            raise KeyError("no column decision, or none of candidates")
    return rows


def _typed(row: dict[str, str]) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for name, text in row.items():
        kind = SCHEMA.field(name).type
        if text == "":
            typed[name] = None
        elif name in ("candidates", "box"):
            typed[name] = json.loads(text)
        elif pa.types.is_string(kind):
            typed[name] = plainly(text)
        else:
            typed[name] = int(text) if pa.types.is_integer(kind) else float(text)
    return typed


def _identities(path: Path) -> list[set[str]]:
    if _is_template_file(path):
        return [{each} for each in pq.read_table(path, columns=["identity"])["identity"].to_pylist() if each]
    return _named(_results(path))


def _named(rows: Iterable[dict[str, Any]]) -> list[set[str]]:
    return [{row["identity"] or "", *(each["identity"] for each in row["candidates"])} for row in rows]


def _speaking(named: Iterable[set[str]], name: str) -> int:
    return sum(name in {unicodedata.normalize("NFC", each) for each in names} for names in named)
