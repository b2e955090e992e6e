"""Groups as a Parquet file: the columns of a template file, then those of groups; the metadata say how the groups were found.

It can also be read as a template file, which then holds the named groups only, so that these can be enrolled.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.common.dataclass_json import from_json, from_plain
from engine.errors import GroupingError, TemplatesError
from engine.files.atomic_files import UNREADABLE, whole_file
from engine.files.budgets import refuse_bomb
from engine.files.object_storage import local
from engine.grouping.groups import Cut, Groups, groups_schema
from engine.templates.model import vectors_of
from engine.templates.parquet import GROUPS_KEY, ROW_GROUP
from engine.templates.provenance import Provenance

_FORMAT = 1
_RULES = ("decoys", "impostors", "nothing to merge")
# Points of the curve of chances that a file holds, at most.
_MOST_POINTS = 10_000


@dataclass(frozen=True)
class _Plain:
    """The part of the metadata that is single values."""

    format: int
    height: float
    asked: float | None
    rule: str
    people: int
    groups: int
    expected_wrong: float
    same_photo: bool
    last: int


def write_groups(path: Path, groups: Groups) -> None:
    """Write groups. Raises `OutputError` where that fails."""
    cut = groups.cut
    plain = _Plain(
        *(_FORMAT, cut.height, cut.asked, cut.rule, cut.people, cut.groups, cut.expected_wrong),
        *(groups.same_photo, groups.last),
    )
    lists = {"mean": cut.mean.tolist(), "heights": cut.heights.tolist(), "chances": cut.chances.tolist(), "apart": groups.apart}
    metadata = {**groups.provenance.to_metadata(), GROUPS_KEY: json.dumps({"plain": plain.__dict__, **lists})}
    with whole_file(path) as temporary:
        pq.write_table(groups.table.replace_schema_metadata(metadata), temporary, compression="zstd", row_group_size=ROW_GROUP)


def is_groups_file(path: Path) -> bool:
    """Whether a file is one that `write_groups` wrote."""
    if path.suffix.lower() != ".parquet" or not (path := local(path)).is_file():
        return False
    try:
        return GROUPS_KEY.encode() in (pq.read_schema(path).metadata or {})
    except UNREADABLE:
        return False


def read_groups(path: Path) -> Groups:
    """Read groups.

    Raises:
        GroupingError: the file is missing, damaged, or holds no groups; names it.
    """
    here = local(path)
    if not here.is_file():
        raise GroupingError(f"{path}: no such groups file")
    try:
        refuse_bomb(here)
        file = pq.ParquetFile(here)
        found = {key.decode(errors="replace"): value for key, value in (file.schema_arrow.metadata or {}).items()}
        if GROUPS_KEY not in found:
            raise GroupingError(f"{path}: holds no groups; onek group makes them of templates")
        made = Provenance.from_json(found.get("onek.provenance", b"").decode(errors="replace"))
        table = file.read()
        expected = groups_schema(made)
        if not expected.equals(table.schema):
            raise ValueError(f"found the columns {', '.join(table.schema.names)}, expected {', '.join(expected.names)}")
        table = table.cast(expected)
        _check_rows(table)
        return _groups(table, made, from_json(found[GROUPS_KEY].decode(errors="replace")))
    except GroupingError:
        raise
    except (*UNREADABLE, TemplatesError, KeyError, TypeError) as error:
        raise GroupingError(f"{path}: no groups can be read of it: {str(error).splitlines()[0]}") from error


def _check_rows(table: pa.Table) -> None:
    if not table.num_rows:
        return
    if not np.all(np.abs(np.linalg.norm(vectors_of(table), axis=1) - 1) < 1e-3):
        raise ValueError("a vector that is not of unit length")
    if pc.count_distinct(table["template_id"]).as_py() != table.num_rows:
        raise ValueError("a template id that comes twice")
    least = [pc.min(table[name]).as_py() for name in ("group", "bound")]
    if any(each is not None and each < 1 for each in least):
        raise ValueError("a group with a number below 1")


def _groups(table: pa.Table, made: Provenance, values: Any) -> Groups:
    plain = from_plain(_Plain, values["plain"])
    if plain.format != _FORMAT:
        raise ValueError(f"groups of the format {plain.format}; this onek reads format {_FORMAT}, so take a newer onek")
    mean, heights, chances = (np.asarray(values[name], np.float64) for name in ("mean", "heights", "chances"))
    curve = heights.ndim == 1 and heights.shape == chances.shape and len(heights) <= _MOST_POINTS
    if mean.shape != (made.dim,) or not curve or not all(np.isfinite(each).all() for each in (mean, heights, chances)):
        raise ValueError("its rule is none")
    if plain.rule not in _RULES or (np.diff(heights) < 0).any() or not np.isfinite(plain.height):
        raise ValueError("its rule is none")
    largest = pc.max(table["group"]).as_py() or 0
    if plain.last < largest:
        raise ValueError(f"a group {largest}, where the largest number is {plain.last}")
    apart = tuple((str(one), str(two)) for one, two in values["apart"])
    cut = Cut(
        *(plain.height, plain.asked, plain.rule, plain.people, plain.groups, plain.expected_wrong),
        *(mean, heights, chances),
    )
    return Groups(table.replace_schema_metadata(None), made, cut, apart, plain.same_photo, plain.last)
