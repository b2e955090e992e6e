"""Sheets of faces: who is where in a results file, face by face; and the worst mistakes of an evaluation, as pairs.

Such pages show people.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.answers.results import SCHEMA
from engine.calibration.thresholds import FAILED, IDENTIFIED
from engine.errors import OutputError
from engine.evaluation.raw import read_candidates
from engine.files.atomic_files import UNREADABLE
from engine.files.budgets import refuse_bomb
from engine.reports.evaluated import Evaluation
from engine.reports.markup import Markup, markup, page, tag
from engine.reports.pictures import face_image

# Faces that one sheet shows, at most.
MOST = 2000

SourceOf = Callable[[str], str | None]
"""The photograph of an enrolled template, by its id."""


def read_results(path: Path) -> pa.Table:
    """Results as `onek identify` wrote them to Parquet.

    Raises:
        OutputError: it is none.
    """
    try:
        refuse_bomb(path)
        table = pq.read_table(path)
    except UNREADABLE as error:
        raise OutputError(f"{path}: cannot be read as results: {error}") from error
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise OutputError(f"{path}: no results of onek identify (no column {missing[0]}); expected its .parquet")
    return table.select(SCHEMA.names).cast(SCHEMA)


def contact_sheet(results: pa.Table, photos: Path | None, called: str) -> str:
    """A page with each probe face, its name, score and candidates; with pictures where the photographs are at hand.

    `photos`: the folder that the probes' paths are below; None takes them as they are written.

    Raises:
        OutputError: more faces than a sheet shows.
    """
    if results.num_rows > MOST:
        raise OutputError(
            f"{called}: {results.num_rows:,} probe faces; a contact sheet shows {MOST:,}. Cut the results in pieces"
        )
    rows = results.to_pylist()
    counts = {
        decision: sum(row["decision"] == decision for row in rows) for decision in dict.fromkeys(row["decision"] for row in rows)
    }
    said = ", ".join(f"{count:,} {decision}" for decision, count in counts.items()) or "no probe"
    cards = tag("div", *_cards(rows, photos), class_="pictures faces")
    return page(f"Who is in {called}", tag("p", f"{len(rows):,} probe faces: {said}. Identified people first, by name."), cards)


def _cards(rows: list[dict[str, Any]], photos: Path | None) -> Iterator[Markup]:
    several = {row["probe"] for row in rows if (row["face"] or 0) > 0}
    for row in sorted(rows, key=lambda row: (row["decision"] != IDENTIFIED, row["decision"] == FAILED, row["identity"] or "")):
        name = row["identity"] or row["decision"]
        where = row["probe"] if not row["face"] else f"{row['probe']}, face {row['face']}"
        faces = "none" if row["face"] is None else "all" if row["probe"] in several else "largest"
        path = photograph_of(row["probe"], photos)
        if row["decision"] == FAILED:
            picture = tag("div", "no template could be made", class_="none")
        elif path is None:
            picture = tag("div", "the photograph is not at hand", class_="none")
        else:
            picture = face_image(path, row["face"], faces, f"{name}, in {where}")
        lines = [tag("p", tag("strong", name)), tag("p", where, class_="dim")]
        if row["score"] is not None:
            lines.append(tag("p", f"score {row['score']:.3f}, accepted to {row['threshold']:.3f}"))
        if row["expected_false_alarms"] is not None:
            lines.append(tag("p", f"expected false alarms {row['expected_false_alarms']:.2g}"))
        others = [f"{each['identity']} {each['score']:.3f}" for each in (row["candidates"] or [])[:3]]
        if others:
            lines.append(tag("p", f"candidates: {', '.join(others)}", class_="dim"))
        yield tag("article", picture, *lines)


def photograph_of(probe: str, photos: Path | None) -> Path | None:
    """The photograph of a probe: as its path says, or below a folder, never beside or above it."""
    if photos is None:
        return path if (path := Path(probe)).is_file() else None
    base = photos.resolve()
    parts = Path(probe).parts
    for at in range(len(parts)):
        found = (base / Path(*parts[at:])).resolve()
        if found.is_relative_to(base) and found.is_file():
            return found
    return None


def mistake_pictures(
    evaluation: Evaluation, searches: Path, source_of: SourceOf, photos: Path | None, faces: str = "largest"
) -> Markup:
    """A card for each of the worst mistakes: both faces, where their photographs are at hand, scores and candidates.

    Args:
        evaluation: whose mistakes.
        searches: the raw file that they are in.
        source_of: the photograph of an enrolled template, by its id.
        photos: the folder that photographs are below; None takes their paths as they are written.
        faces: `largest`, or `none` where the photographs are face crops.
    """
    rows = np.array([each.row for each in evaluation.worst], np.int64)
    cards = []
    for mistake, candidates in zip(evaluation.worst, read_candidates(searches, rows), strict=True):
        first = candidates[0] if candidates else None
        source = None if first is None else source_of(first["template_id"])
        named = "nobody" if first is None else str(first["identity"])
        who = mistake.identity or "somebody whom nobody knows"
        pair = [_face(mistake.probe, photos, faces, f"probe: {who}"), _face(source, photos, faces, f"enrolled: {named}")]
        lines = [
            tag("p", tag("strong", f"{mistake.kind}: "), markup(f"{who} / {named}")),
            tag("p", mistake.probe, class_="dim"),
        ]
        if mistake.score is not None:
            told = "" if mistake.expected_false_alarms is None else f", expected false alarms {mistake.expected_false_alarms:.2g}"
            lines.append(tag("p", f"score {mistake.score:.3f}{told}"))
        listed = ", ".join(f"{each['identity']} {each['score']:.3f}" for each in candidates[:5])
        lines.append(tag("p", f"candidates: {listed}", class_="dim"))
        cards.append(tag("article", tag("div", *pair, class_="pair"), *lines))
    return tag("div", *cards, class_="pictures") if cards else Markup("")


def _face(source: str | None, photos: Path | None, faces: str, alt: str) -> Markup:
    path = None if source is None else photograph_of(source, photos)
    if path is None:
        return tag("div", "the photograph is not at hand", class_="none")
    return face_image(path, None, faces, alt)
