"""Changes of a living gallery: enrol, remove, rename. Each is durable when it returns."""

import sqlite3
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.catalogue import put
from engine.enrolment import Enrolment
from engine.errors import GalleryError, TemplatesError
from engine.lookup import Lookup
from engine.problems import Problem
from engine.provenance import require_same
from engine.recent import insert, numbers_of, relabel
from engine.templates import Templates
from engine.view import View
from engine.writer import Writer

DUPLICATES = ("replace", "skip", "error")


@dataclass(frozen=True)
class Enrolled:
    """What an enrolment did: templates that joined, and of those named, how many took another's place or were there already;
    photographs that gave no template, and why.
    """

    templates: int
    replaced: int
    skipped: int
    problems: tuple[Problem, ...] = ()


def enroll(view: View, ids: Lookup, writer: Writer, templates: Templates, on_duplicate: str) -> Enrolled:
    """Enrol templates in a gallery whose segment is that of `view` and has the template `ids`; more of the view is not looked at.

    Raises:
        EncoderMismatch: another encoder made them.
        TemplatesError: one has no identity, an id comes twice among them, or, where `on_duplicate` is `error`, is enrolled.
        GalleryError: no such `on_duplicate`.
        OutputError: nothing was enrolled, since the catalogue cannot be written.
    """
    if on_duplicate not in DUPLICATES:
        raise GalleryError(f"--on-duplicate {on_duplicate}: expected {', '.join(DUPLICATES)}")
    require_same(view.catalogue.provenance, templates.provenance, str(writer.folder), "the templates to enrol")
    incoming = Enrolment(templates.provenance, len(templates), iter([("the templates", templates)]))
    for _ in incoming:
        pass
    template_ids = templates.table["template_id"]
    incoming.require_each_once(pa.chunked_array(template_ids))
    segment = view.catalogue.segments[0].name
    named = template_ids.to_pylist()
    with writer.changing() as database:
        rows, recent = ids.rows(named), numbers_of(database, named)
        rows = np.array([-1 if row >= 0 and _is_removed(database, segment, row) else row for row in rows.tolist()])
        known = (rows >= 0) | np.array([number is not None for number in recent])
        if known.any() and on_duplicate == "error":
            first = template_ids.filter(pa.array(known))[0]
            raise TemplatesError(f"{known.sum()} template ids are enrolled already, such as {first}; say --on-duplicate")
        table = templates.table
        if on_duplicate == "skip":
            table = table.filter(pa.array(~known))
        else:
            _remove_sealed(database, segment, rows[rows >= 0])
            _remove_recent(database, [number for number in recent if number is not None])
        insert(database, table)
    skipped = len(templates) - len(table)
    return Enrolled(len(table), int(known.sum()) - skipped, skipped)


def remove(view: View, ids: Lookup, writer: Writer, identities: list[str], templates: list[str]) -> int:
    """Remove identities and templates, all or none; how many templates that were.

    Raises:
        GalleryError: one is not enrolled, or nobody would be left.
    """
    names = _live_names(view)
    unknown = sorted(set(identities) - set(view.identities.to_pylist())) if identities else []
    rows = _rows_of(view, ids, templates)
    unknown += [name for name, row in zip(templates, rows, strict=True) if row < 0]
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise GalleryError(f"{unknown[0]} is not enrolled in {writer.folder}{more}; nothing was removed")
    named = np.zeros(len(view.gone), bool)
    named[rows] = True
    if identities:
        named |= pc.is_in(names, value_set=pa.array(identities, pa.string())).to_numpy(zero_copy_only=False)
    leaving = np.flatnonzero(named & ~view.gone)
    if len(leaving) == (~view.gone).sum():
        raise GalleryError(f"nobody would be left in {writer.folder}; delete the folder instead")
    if len(leaving):
        sealed, segment = len(view.segment.enrolled.members.codes), view.catalogue.segments[0].name
        with writer.changing() as database:
            _remove_sealed(database, segment, leaving[leaving < sealed])
            _remove_recent(database, view.recent.numbers[leaving[leaving >= sealed] - sealed].tolist())
    return len(leaving)


def rename(view: View, writer: Writer, old: str, new: str, merge: bool) -> int:
    """Call an identity otherwise; how many templates it has.

    Raises:
        GalleryError: nobody is called `old`, or somebody is called `new` already and `merge` is false.
    """
    names = _live_names(view)
    live = pa.array(~view.gone)
    mine = pc.and_(pc.equal(names, old), live).to_numpy(zero_copy_only=False)
    if not mine.any():
        raise GalleryError(f"nobody called {old} is enrolled in {writer.folder}")
    if not new:
        raise GalleryError("an identity cannot have an empty name")
    if old == new:
        return int(mine.sum())
    if not merge and pc.any(pc.and_(pc.equal(names, new), live)).as_py():
        raise GalleryError(f"{new} is enrolled in {writer.folder} already; pass --merge to make one identity of both")
    sealed = view.segment.enrolled.members.codes
    own = view.segment.identities.take(pa.array(np.unique(sealed[mine[: len(sealed)]]))).to_pylist()
    with writer.changing() as database:
        segment = view.catalogue.segments[0].name
        database.executemany("INSERT OR REPLACE INTO renamed VALUES (?, ?, ?)", [(segment, name, new) for name in own])
        numbers = view.recent.numbers[mine[len(sealed) :]].tolist()
        relabel(database, numbers, new)
    return int(mine.sum())


def _live_names(view: View) -> pa.Array:
    """The identity of each row, those that are gone too, as it is called now."""
    renamed = view.catalogue.changes.renamed if view.catalogue.changes else {}
    dictionary = view.segment.identities
    if renamed:
        dictionary = pa.array([renamed.get(name, name) for name in dictionary.to_pylist()], pa.string())
    sealed = dictionary.take(pa.array(view.segment.enrolled.members.codes))
    return pa.concat_arrays([sealed, *view.recent.table["identity"].chunks])


def _rows_of(view: View, ids: Lookup, template_ids: list[str]) -> np.ndarray:
    """The row of each template id, among the segment's rows and the recent ones behind them; -1 where it is not enrolled."""
    sealed = len(view.segment.enrolled.members.codes)
    rows = ids.rows(template_ids)
    rows[(rows >= 0) & view.gone[np.maximum(rows, 0)]] = -1
    live = np.flatnonzero(~view.gone[sealed:])
    if len(live):
        recent = view.recent.table["template_id"].take(pa.array(live))
        at = pc.index_in(pa.array(template_ids, pa.string()), value_set=recent).to_numpy(zero_copy_only=False)
        found = ~np.isnan(at.astype(float))
        rows[found] = sealed + live[at[found].astype(np.int64)]
    return rows


def _is_removed(database: sqlite3.Connection, segment: str, row: int) -> bool:
    found = database.execute("SELECT 1 FROM removed WHERE segment = ? AND row = ?", (segment, row))
    return found.fetchone() is not None


def _remove_sealed(database: sqlite3.Connection, segment: str, rows: np.ndarray) -> None:
    database.executemany("INSERT INTO removed VALUES (?, ?)", [(segment, row) for row in rows.tolist()])


def _remove_recent(database: sqlite3.Connection, numbers: list[int]) -> None:
    if numbers:
        database.executemany("DELETE FROM recent WHERE number = ?", [(number,) for number in numbers])
        put(database, "erasable", str(_erasable(database) + len(numbers)))


def _erasable(database: sqlite3.Connection) -> int:
    found = database.execute("SELECT value FROM gallery WHERE key = 'erasable'").fetchone()
    return int(found[0]) if found else 0
