"""Changes of a gallery: enrol, remove, rename. Each is durable when it returns."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pyarrow as pa

from engine.answers.already_enrolled import NOT_LOOKED, ON_MATCH, Matches
from engine.common.late import pc
from engine.common.string_lookup import Lookup
from engine.errors import GalleryError, NotEnrolled, TemplatesError
from engine.storage.catalogue import put
from engine.storage.folder_snapshot import FolderSnapshot
from engine.storage.recent_rows import insert, owners_of, relabel
from engine.storage.writer_lock import Writer
from engine.templates.enrolment import Joining
from engine.templates.model import Templates
from engine.templates.names import UNLABELLED, Labelling, enrolled_as, name_of, spellings
from engine.templates.problems import ALL_SEEN, Problem, Unseen

_RENAMED = "SELECT identity, name FROM renamed WHERE segment = ?"
DUPLICATES = ("own", "replace", "skip", "error")


@dataclass(frozen=True)
class EnrolmentResult:
    """What an enrolment did: templates that joined, and of those named, how many took another's place or were there already.

    `problems`: photographs that gave no template, and why. `labelling`: whose the photographs were taken to be. `unseen`: how
    many faces of theirs were not looked at. `matches`: which of the templates the gallery took for somebody else's.
    """

    templates: int
    replaced: int
    skipped: int
    problems: tuple[Problem, ...] = ()
    labelling: Labelling = UNLABELLED
    unseen: Unseen = ALL_SEEN
    matches: Matches = NOT_LOOKED

    def of(self, joining: Joining, matches: Matches) -> "EnrolmentResult":
        """The same, with what was known before it."""
        return replace(self, problems=joining.problems, labelling=joining.labelling, unseen=joining.unseen, matches=matches)


def enroll(view: FolderSnapshot, ids: Lookup, writer: Writer, templates: Templates, on_duplicate: str) -> EnrolmentResult:
    """Enrol templates in a gallery that has the segments of `view`, with the template `ids`; more of the view is not looked at.

    They have passed `engine.templates.enrolment.require_joinable`.

    Raises:
        TemplatesError: one is enrolled, and `on_duplicate` is `error`; or as another identity's, and it is `own`.
        OutputError: nothing was enrolled, since the catalogue cannot be written.
    """
    table = spelt_as_enrolled(templates.table, view.enrolled_among)
    named = table["template_id"].to_pylist()
    segment = view.catalogue.segments[0].name
    with writer.changing() as database:
        rows, recent = ids.rows(named), owners_of(database, named)
        rows = np.array([-1 if row >= 0 and _is_removed(database, segment, row) else row for row in rows.tolist()])
        known = (rows >= 0) | np.array([owner is not None for owner in recent])
        renamed = dict(database.execute(_RENAMED, (view.catalogue.segments[-1].name,))) if known.any() else {}
        owners = {}
        for at in np.flatnonzero(known).tolist():
            owner = recent[at]
            owners[named[at]] = _name_in(view, int(rows[at]), renamed) if owner is None else owner[1]
        table = undisputed(table, owners, on_duplicate)
        if on_duplicate != "skip":
            _remove_sealed(database, segment, rows[rows >= 0])
            _remove_recent(database, [owner[0] for owner in recent if owner is not None])
        insert(database, table)
    skipped = len(templates) - len(table)
    return EnrolmentResult(len(table), int(known.sum()) - skipped, skipped)


def require_words(on_duplicate: str, on_match: str) -> None:
    """Check, before any work, the words for what becomes of ids and faces that are enrolled already. Raises `GalleryError`."""
    for name, word, known in (("duplicate", on_duplicate, DUPLICATES), ("match", on_match, ON_MATCH)):
        if word not in known:
            raise GalleryError(f"on_{name}={word!r}: expected {', '.join(known)}")


def undisputed(table: pa.Table, owners: dict[str, str], on_duplicate: str) -> pa.Table:
    """The templates to enrol, where the ids among `owners` are enrolled already, as templates of these identities.

    Raises:
        TemplatesError: as `enroll`; names both identities.
    """
    if not owners:
        return table
    known = pc.is_in(table["template_id"], value_set=pa.array(owners, pa.string()))
    if on_duplicate == "skip":
        return table.filter(pc.invert(known))
    there = table.filter(known)
    if on_duplicate == "error":
        first = there["template_id"][0]
        raise TemplatesError(f"{len(there)} template ids are enrolled already, such as {first}; say on_duplicate=...")
    if on_duplicate == "own":
        columns = (there[name].to_pylist() for name in ("template_id", "identity", "source"))
        others = [row for row in zip(*columns, strict=True) if owners[row[0]] not in spellings(row[1])]
        if others:
            template_id, identity, source = others[0]
            of = f" (of {source})" if source else ""
            more = f", and {len(others) - 1:,} more ids are others'" if len(others) > 1 else ""
            raise TemplatesError(
                f"the template {template_id}{of} is enrolled already as {owners[template_id]}'s, and would become "
                f"{identity}'s{more}; nothing was enrolled. on_duplicate='replace' gives it to the new name, "
                "on_duplicate='skip' leaves it"
            )
    return table


def spelt_as_enrolled(table: pa.Table, enrolled: Callable[[pa.Array], Iterable[str]]) -> pa.Table:
    """The same templates; who is enrolled under another spelling of a name, as an older onek found it, stays one identity.

    `enrolled`: which of some names are.
    """
    names = pc.unique(table["identity"])
    odd = [name for name in names.to_pylist() if not name.isascii()]
    every = pa.array([each for name in odd for each in spellings(name)], pa.string())
    there = set(enrolled(every)) if odd else set()
    called = {name: next((each for each in spellings(name) if each in there), name) for name in odd}
    if all(name == spelt for name, spelt in called.items()):
        return table
    column = table.schema.get_field_index("identity")
    spelt = pa.array([called.get(name, name) for name in table["identity"].to_pylist()], pa.string())
    return table.set_column(column, table.schema.field(column), spelt)


def not_enrolled(unknown: Sequence[str], where: object) -> GalleryError:
    """The error for identities and template ids to remove that are not enrolled."""
    more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
    return NotEnrolled(f"{unknown[0]} is not enrolled in {where}{more}; nothing was removed")


def nobody_called(old: str, where: object) -> GalleryError:
    """The error for an identity to rename that is not enrolled."""
    return NotEnrolled(f"nobody called {old} is enrolled in {where}")


def somebody_called(new: str, where: object) -> GalleryError:
    """The error for a new name that another identity has."""
    return GalleryError(f"{new} is enrolled in {where} already; pass merge=True to make one identity of both")


def _name_in(view: FolderSnapshot, row: int, renamed: dict[str, str]) -> str:
    """The identity that a sealed row has now."""
    name = view.segment.identities[int(view.segment.enrolled.members.codes[row])].as_py()
    return renamed.get(name, name)


def remove(view: FolderSnapshot, ids: Lookup, writer: Writer, identities: list[str], templates: list[str]) -> int:
    """Remove identities and templates, all or none; how many templates that were.

    Raises:
        GalleryError: one is not enrolled, or nobody would be left.
    """
    names = _live_names(view)
    enrolled = set(view.identities.to_pylist()) if identities else set()
    meant = {name: enrolled_as(name, enrolled) for name in identities}
    unknown = sorted(name for name, found in meant.items() if not found)
    rows = _rows_of(view, ids, templates)
    unknown += [name for name, row in zip(templates, rows, strict=True) if row < 0]
    if unknown:
        raise not_enrolled(unknown, writer.folder)
    named = np.zeros(len(view.gone), bool)
    named[rows] = True
    if identities:
        named |= pc.is_in(names, value_set=pa.array(chain(*meant.values()), pa.string())).to_numpy(zero_copy_only=False)
    leaving = np.flatnonzero(named & ~view.gone)
    if len(leaving) == (~view.gone).sum():
        raise GalleryError(f"nobody would be left in {writer.folder}; delete the folder instead")
    if len(leaving):
        sealed, segment = len(view.segment.enrolled.members.codes), view.catalogue.segments[0].name
        with writer.changing() as database:
            _remove_sealed(database, segment, leaving[leaving < sealed])
            _remove_recent(database, view.recent.numbers[leaving[leaving >= sealed] - sealed].tolist())
    return len(leaving)


def rename(view: FolderSnapshot, writer: Writer, old: str, new: str, merge: bool) -> int:
    """Rename an identity; how many templates it has.

    Raises:
        GalleryError: nobody is called `old`, or somebody is called `new` already and `merge` is false.
        NameRefused: `new` is no name.
    """
    new = name_of(new, "the new name")
    names = _live_names(view)
    enrolled = set(view.identities.to_pylist())
    mine, theirs = (_are(view, names, enrolled_as(name, enrolled)) for name in (old, new))
    if not mine.any():
        raise nobody_called(old, writer.folder)
    if old == new and enrolled_as(old, enrolled) == [new]:
        return int(mine.sum())
    if not merge and (theirs & ~mine).any():
        raise somebody_called(new, writer.folder)
    sealed = view.segment.enrolled.members.codes
    own = view.segment.identities.take(pa.array(np.unique(sealed[mine[: len(sealed)]]))).to_pylist()
    with writer.changing() as database:
        segment = view.catalogue.segments[-1].name
        database.executemany("INSERT OR REPLACE INTO renamed VALUES (?, ?, ?)", [(segment, name, new) for name in own])
        numbers = view.recent.numbers[mine[len(sealed) :]].tolist()
        relabel(database, numbers, new)
    return int(mine.sum())


def _are(view: FolderSnapshot, names: pa.Array, called: list[str]) -> np.ndarray:
    """Which rows that were not removed belong to identities of these names, bool (n,)."""
    return pc.is_in(names, value_set=pa.array(called, pa.string())).to_numpy(zero_copy_only=False) & ~view.gone


def _live_names(view: FolderSnapshot) -> pa.Array:
    """The present name of each row's identity, removed rows included."""
    renamed = view.catalogue.changes.renamed if view.catalogue.changes else {}
    dictionary = view.segment.identities
    if renamed:
        dictionary = pa.array([renamed.get(name, name) for name in dictionary.to_pylist()], pa.string())
    sealed = dictionary.take(pa.array(view.segment.enrolled.members.codes))
    return pa.concat_arrays([sealed, *view.recent.table["identity"].chunks])


def _rows_of(view: FolderSnapshot, ids: Lookup, template_ids: list[str]) -> np.ndarray:
    """The row of each template id, among the sealed rows and the recent ones behind them; -1 where it is not enrolled."""
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
