"""What an encoder sees of labelled photographs, recordings or volumes, cut once and memory-mapped: no epoch reads a file."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.common.concurrency import batched, map_ahead
from engine.embedding.intake import Intake, Shown, intake
from engine.embedding.photographs import Photograph
from engine.errors import ImageProblem, TrainingError
from engine.files.atomic_files import whole_file
from engine.templates.problems import Problem

_BATCH = 32


@dataclass(frozen=True)
class Chips:
    """`pixels` uint8 (n, s, s, 3), or float32 (n, *shape) of windows or cubes, memory-mapped; `names` (n,): whose each is;
    `digest`: of what they were cut from and how; `problems`: files that gave none.
    """

    pixels: np.ndarray
    names: np.ndarray
    digest: str
    problems: tuple[Problem, ...]


def cut_chips(
    photographs: Sequence[Photograph], chip: Shown, faces: str, folder: Path, progress: Callable[[int], None] | None = None
) -> Chips:
    """The chips of photographs, kept in `folder`; cut anew only if photographs or chip are others than those kept.

    Raises:
        TrainingError: a photograph has no identity, or none gave a chip.
        OutputError: the folder cannot be written to.
    """
    if unnamed := [photograph.source for photograph in photographs if photograph.identity is None]:
        raise TrainingError(f"{unnamed[0]} has no identity ({len(unnamed)} such); put each person's pictures in a folder")
    listed = json.dumps([[each.source, each.identity] for each in photographs])
    take = intake(chip, faces)
    digest = hashlib.sha256(f"{listed}{chip}{take.alignment}".encode()).hexdigest()
    pixels_file, rows_file = folder / "chips.npy", folder / "chips.parquet"
    if not (rows_file.is_file() and pq.read_schema(rows_file).metadata.get(b"onek.chips") == digest.encode()):
        _cut(photographs, chip, take, pixels_file, rows_file, digest, progress)
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
    chip: Shown,
    take: Intake,
    pixels_file: Path,
    rows_file: Path,
    digest: str,
    progress: Callable[[int], None] | None,
) -> None:
    rows_file.unlink(missing_ok=True)
    sources, identities, problems = [], [], []
    count = 0
    with whole_file(pixels_file) as temporary:
        store = np.lib.format.open_memmap(temporary, "w+", np.dtype(chip.dtype), (len(photographs), *chip.shape))
        for part in map_ahead(lambda those: list(_aligned(those, take)), batched(photographs, _BATCH)):
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


def _aligned(photographs: Sequence[Photograph], take: Intake) -> Iterator[tuple[Photograph, np.ndarray | None, str | None]]:
    for photograph in photographs:
        try:
            found = take.shown(take.opened(photograph)[0])
        except ImageProblem as problem:
            yield photograph, None, str(problem)
            continue
        yield photograph, (found[0].chip if found else None), (None if found else "no face found")
