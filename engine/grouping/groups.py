"""Groups of faces: what was found of each face, what people corrected, and by which rule it was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from engine.errors import GroupingError
from engine.tables.frames import Tabular
from engine.templates.model import Templates, schema, vectors_of
from engine.templates.provenance import Provenance

# What people did to a face's group.
NAMED, JOINED, APART, REJECTED = "named", "joined", "apart", "rejected"
# The note of a face that is alone for this reason.
LOW_QUALITY = "low quality"

ADDED = [
    pa.field("group", pa.int32()),
    pa.field("score", pa.float32()),
    pa.field("corrected", pa.string()),
    pa.field("bound", pa.int32()),
    pa.field("note", pa.string()),
]


def groups_schema(made: Provenance) -> pa.Schema:
    """The columns of groups: those of templates, whose `identity` is the group's name, and those of groups."""
    return pa.schema([*schema(made), *ADDED])


@dataclass(frozen=True)
class Cut:
    """How the groups were found: where the tree of merges was cut. It stays the same when faces are added.

    `height`: how alike two groups must be to be one. `asked`: the share of wrong groups that was asked for, None if none was.
    `rule`: `decoys`, `impostors` (of the encoder, for few people), or `nothing to merge`. `people`: about how many there were.
    `groups`: of two faces and more, `expected_wrong`: how many of them hold two people, as the rule has it. `mean` float64 (d,):
    what is taken away from templates. `heights`, `chances` (h,): how likely a merge at a height is wrong.
    """

    height: float
    asked: float | None
    rule: str
    people: int
    groups: int
    expected_wrong: float
    mean: np.ndarray
    heights: np.ndarray
    chances: np.ndarray

    def chance_of_wrong(self, heights: np.ndarray) -> np.ndarray:
        """How likely merges at heights (m,) put two people together."""
        if not len(self.heights):
            return np.full(len(heights), 0.5)
        return np.interp(heights, self.heights, self.chances)


@dataclass(frozen=True)
class Groups(Tabular):
    """Faces and their groups: a row for every face.

    `table`: the columns of templates, of which `identity` is the group's name, and `group` int32 (null: the face is alone),
    `score` float32 (how alike the face and the rest of its group are; large is alike), `corrected` (what people did: `named`,
    `joined`, `apart`, `rejected`; or null), `bound` int32 (faces of one number stay together, because somebody said so), `note`.

    `apart`: pairs of template ids that are two people. `last`: the largest group number that was ever given. `repeated`: faces
    that were given again and counted once.
    """

    table: pa.Table
    provenance: Provenance
    cut: Cut
    apart: tuple[tuple[str, str], ...] = ()
    same_photo: bool = False
    last: int = 0
    repeated: int = field(default=0, compare=False)

    _shown = ("template_id", "source", "face", "group", "identity", "score", "note")

    def __repr__(self) -> str:
        return f"<Groups: {len(self):,} faces in {len(self.members):,} groups, {self.alone:,} alone>"

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def numbers(self) -> np.ndarray:
        """The group of each face, int64 (n,); 0 for a face that is alone."""
        return self.table["group"].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)

    @cached_property
    def vectors(self) -> np.ndarray:
        """The templates, float32 (n, d)."""
        return vectors_of(self.table)

    @cached_property
    def members(self) -> dict[int, np.ndarray]:
        """The rows of each group, int64, by its number, the largest group first."""
        order = np.argsort(self.numbers, kind="stable")
        found, starts = np.unique(self.numbers[order], return_index=True)
        rows = dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True)) if len(order) else {}
        rows.pop(0, None)
        return dict(sorted(rows.items(), key=lambda each: (-len(each[1]), each[0])))

    @cached_property
    def names(self) -> dict[int, str | None]:
        """The name of each group, by its number; None where nobody named it."""
        names = self.table["identity"].to_pylist()
        return {number: names[rows[0]] for number, rows in self.members.items()}

    @property
    def alone(self) -> int:
        """How many faces are in no group."""
        return int((self.numbers == 0).sum())

    def rows_of(self, number: int, where: str) -> np.ndarray:
        """The rows of a group. Raises `GroupingError` where there is no such group; names `where` it was asked for."""
        if number not in self.members:
            raise GroupingError(f"{where}: there is no group {number}; the groups are numbered up to {self.last}")
        return self.members[number]

    def named(self) -> Templates:
        """The templates of named groups, without faces that were rejected: those that can be enrolled."""
        return named_templates(self.table, self.provenance)

    def with_columns(self, columns: Mapping[str, list[object]]) -> pa.Table:
        """The table with some columns replaced."""
        table = self.table
        for name, values in columns.items():
            at = table.schema.get_field_index(name)
            table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
        return table


def named_templates(table: pa.Table, made: Provenance) -> Templates:
    """Of a table of groups' columns, the templates that have a name."""
    rows = np.flatnonzero(~np.asarray(table["identity"].is_null()))
    return Templates(table.take(pa.array(rows)).select(schema(made).names).cast(schema(made)), made)
