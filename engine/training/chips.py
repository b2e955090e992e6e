"""Aligned chips of labelled photographs, cut once and memory-mapped: no epoch reads a photograph."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.common.concurrency import batched, map_ahead
from engine.embedding.embedder import load_picture
from engine.embedding.photographs import Photograph
from engine.errors import ImageProblem, TrainingError
from engine.faces.alignment import aligner, alignment
from engine.faces.chip import Chip
from engine.files.atomic_files import whole_file
from engine.templates.problems import Problem

_BATCH = 32


@dataclass(frozen=True)
class Chips:
    """`pixels` uint8 (n, s, s, 3), memory-mapped; `names` (n,): whose each is; `digest`: of what they were cut from and how;
    `problems`: photographs that gave none.
    """

    pixels: np.ndarray
    names: np.ndarray
    digest: str
    problems: tuple[Problem, ...]


def cut_chips(
    photographs: Sequence[Photograph], chip: Chip, faces: str, folder: Path, progress: Callable[[int], None] | None = None
) -> Chips:
    """The chips of photographs, kept in `folder`; cut anew only if photographs or chip are others than those kept.

    Raises:
        TrainingError: a photograph has no identity, or none gave a chip.
        OutputError: the folder cannot be written to.
    """
    if unnamed := [photograph.source for photograph in photographs if photograph.identity is None]:
        raise TrainingError(f"{unnamed[0]} has no identity ({len(unnamed)} such); put each person's pictures in a folder")
    listed = json.dumps([[each.source, each.identity] for each in photographs])
    digest = hashlib.sha256(f"{listed}{chip}{alignment(faces)}".encode()).hexdigest()
    pixels_file, rows_file = folder / "chips.npy", folder / "chips.parquet"
    if not (rows_file.is_file() and pq.read_schema(rows_file).metadata.get(b"onek.chips") == digest.encode()):
        _cut(photographs, chip, faces, pixels_file, rows_file, digest, progress)
    elif progress:
        progress(len(photographs))
    rows = pq.read_table(rows_file)
    kept = rows.filter(pa.array(np.asarray(rows["problem"].is_null())))
    problems = rows.filter(pa.array(~np.asarray(rows["problem"].is_null())))
    if not len(kept):
        raise TrainingError(f"none of {len(photographs)} photographs gave a chip; the first: {problems['problem'][0]}")
    return Chips(
        np.load(pixels_file, mmap_mode="r", allow_pickle=False),
        np.asarray(kept["identity"].to_pylist()),
        digest,
        tuple(Problem(*row.values()) for row in problems.select(["source", "problem"]).to_pylist()),
    )


def _cut(
    photographs: Sequence[Photograph],
    chip: Chip,
    faces: str,
    pixels_file: Path,
    rows_file: Path,
    digest: str,
    progress: Callable[[int], None] | None,
) -> None:
    rows_file.unlink(missing_ok=True)
    sources, identities, problems = [], [], []
    count = 0
    with whole_file(pixels_file) as temporary:
        store = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(photographs), chip.size, chip.size, 3))
        for part in map_ahead(lambda those: list(_aligned(those, chip, faces)), batched(photographs, _BATCH)):
            for photograph, cut, problem in part:
                if cut is not None:
                    store[count] = cut
                    count += 1
                sources.append(photograph.source)
                identities.append(photograph.identity)
                problems.append(problem)
            if progress:
                progress(len(part))
        store.flush()
    text = pa.table({"source": sources, "identity": identities, "problem": pa.array(problems, pa.string())})
    with whole_file(rows_file) as temporary:
        pq.write_table(text.replace_schema_metadata({"onek.chips": digest}), temporary)


def _aligned(
    photographs: Sequence[Photograph], chip: Chip, faces: str
) -> Iterator[tuple[Photograph, np.ndarray | None, str | None]]:
    align = aligner(faces)
    for photograph in photographs:
        try:
            found = align(load_picture(photograph), chip)
        except ImageProblem as problem:
            yield photograph, None, str(problem)
            continue
        yield photograph, (found[0].chip if found else None), (None if found else "no face found")
