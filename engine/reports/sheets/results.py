"""A sheet of results: who is where in a results file, face by face."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.answers.results import SCHEMA
from engine.calibration.thresholds import FAILED, IDENTIFIED
from engine.errors import OutputError
from engine.files.atomic_files import UNREADABLE
from engine.files.budgets import refuse_bomb
from engine.reports.markup import Markup, page, tag
from engine.reports.pictures import NOT_AT_HAND, face_image, photograph_of

# Faces that one sheet shows, at most.
MOST = 2000


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
            picture = NOT_AT_HAND
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
