"""The main job on people who do not exist: draw them, embed them, build the index, identify."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.data.drawn_people import Shot, draw_files
from engine.answers.results import Result, Results
from engine.embedding.embedder import Embedder
from engine.embedding.photographs import find_photographs
from engine.encoders import load_encoder
from engine.errors import OutputError
from engine.files.atomic_files import check_output
from engine.gallery.gallery import Gallery
from engine.workflows.embed_files import embed_to_file
from engine.workflows.identify_files import identify_to_file

ENROLLED, STRANGERS = 200, 100
NUISANCE = 0.6
# Drawn people lie nearer to each other than real ones, so no threshold of real people fits them: the gallery finds its own.
FPIR = 0.03
_MARK = "onek-demo"

Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""A progress bar: from what is done and how much of it, to a function that is told how many more are done."""


@dataclass(frozen=True)
class Tally:
    """What was decided of probes of one kind. `right`: identified as who they are, or strangers said to be unknown."""

    probes: int
    right: int
    wrong_name: int
    unknown: int
    failed: int


@dataclass(frozen=True)
class DemoOutcome:
    """The tallies of enrolled people and of strangers, and where the files lie."""

    mated: Tally
    strangers: Tally
    folder: Path
    templates: Path
    gallery: Path
    results: Path


def run_demo(
    folder: Path, bar: Bar, *, enrolled: int = ENROLLED, strangers: int = STRANGERS, overwrite: bool = False
) -> DemoOutcome:
    """Draw `enrolled` people twice (one picture to enrol, one probe) and `strangers` once, and do with them what users do.

    Raises:
        OutputError: `folder` exists and `overwrite` is false, or is not the folder of an earlier demo.
    """
    check_output(folder, overwrite)
    if folder.exists():
        if not (folder / _MARK).exists():
            raise OutputError(f"{folder} was not made by the demo, so it is not replaced; choose another --out")
        shutil.rmtree(folder)
    photos, probes = folder / "enrolled", folder / "probes"
    shots = [Shot(photos / f"person{seed:03d}.jpg", seed, 0) for seed in range(enrolled)]
    shots += [Shot(probes / f"person{seed:03d}.jpg", seed, 1) for seed in range(enrolled)]
    shots += [Shot(probes / f"stranger{seed:03d}.jpg", enrolled + seed, 0) for seed in range(strangers)]
    folder.mkdir()
    (folder / _MARK).touch()
    with bar("drawing people", len(shots)) as done:
        draw_files(shots, nuisance=NUISANCE, progress=done)
    templates, gallery, results = folder / "enrolled.parquet", folder / "gallery", folder / "results.parquet"
    with bar("embedding", enrolled) as done:
        embed_to_file(find_photographs([photos]), Embedder(load_encoder()), templates, progress=done)
    opened = Gallery.build([templates], gallery)
    with bar("identifying", enrolled + strangers) as done:
        identify_to_file(opened, [probes], results, fpir=FPIR, progress=done)
    found = Results(pq.read_table(results))
    return DemoOutcome(_tally(found, "person"), _tally(found, "stranger"), folder, templates, gallery, results)


def _tally(results: Results, kind: str) -> Tally:
    rows = [result for result in results if Path(result.probe).stem.startswith(kind)]
    identified = [result for result in rows if result.decision == "identified"]
    unknown = sum(result.decision == "unknown" for result in rows)
    right = sum(map(_is_right, identified)) if kind == "person" else unknown
    return Tally(
        len(rows), right, sum(not _is_right(result) for result in identified), unknown, len(rows) - len(identified) - unknown
    )


def _is_right(result: Result) -> bool:
    return result.identity == Path(result.probe).stem
