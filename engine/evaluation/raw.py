"""Searches whose truth is known, kept as they came out: one row a search, and beside them what was known without the truth.

Every figure is made of these files, and can be made again for other rates and groups. `SEARCHES` holds the searches, and in its
metadata the galleries that were searched (`Trial`) and the systems that searched them (`System`); `COMPARISONS` the distances of
pairs of templates.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.common.dataclass_json import from_json, from_plain
from engine.errors import MetricsError
from engine.files.atomic_files import UNREADABLE, whole_file
from engine.files.budgets import refuse_bomb

SEARCHES, COMPARISONS = "searches.parquet", "comparisons.parquet"
FORMAT = 1
METADATA = b"onek.evaluation"
_CANDIDATE = pa.struct(
    [
        ("identity", pa.string()),
        ("template_id", pa.string()),
        ("place", pa.int32()),
        ("distance", pa.float32()),
        ("score", pa.float32()),
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("system", pa.string(), nullable=False),
        pa.field("split", pa.int32(), nullable=False),
        pa.field("k", pa.int32(), nullable=False),
        pa.field("probe", pa.string(), nullable=False),
        pa.field("identity", pa.string()),
        pa.field("mated", pa.bool_(), nullable=False),
        pa.field("failed", pa.bool_(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("named", pa.string()),
        pa.field("distance", pa.float32()),
        pa.field("score", pa.float32()),
        pa.field("expected_false_alarms", pa.float32()),
        pa.field("candidates", pa.list_(_CANDIDATE)),
    ]
)
PAIRS = pa.schema(
    [
        pa.field("system", pa.string(), nullable=False),
        pa.field("a", pa.string(), nullable=False),
        pa.field("b", pa.string(), nullable=False),
        pa.field("mated", pa.bool_(), nullable=False),
        pa.field("distance", pa.float32(), nullable=False),
    ]
)
# Columns that say the same again and again, and so are kept as numbers of a list of texts.
_REPEATED = ("system", "probe", "identity", "named")
_WITHOUT = "candidates"


@dataclass(frozen=True)
class System:
    """What was searched with: `name` is what it is called in all that is made of it, `templates` what its templates are, which
    another score may search too. `threshold`: its encoder's 1:1 distance.
    """

    name: str
    templates: str
    encoder: str
    fingerprint: str
    dim: int
    score: str
    threshold: float | None = None


@dataclass(frozen=True)
class Trial:
    """One gallery of K `identities` that was searched.

    `thresholds`, by the rate as text: those that the gallery gives itself; `refused`: why it gives none for other rates. Seconds
    are those of the wall.
    """

    system: str
    split: int
    identities: int
    templates: int
    thresholds: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    build_seconds: float = 0.0
    search_seconds: float = 0.0
    searches: int = 0
    peak_mebibytes: float = 0.0


@dataclass(frozen=True)
class About:
    """What an evaluation is of. `images` and `failures`: how many images there were, and of how many no template was made;
    `unplaced`: of how many of these nobody says whose they are, so that they are taken for mated searches.
    """

    systems: tuple[System, ...]
    trials: tuple[Trial, ...]
    source: str
    command: str
    versions: dict[str, str]
    identities: int
    images: int
    failures: int
    unplaced: int = 0
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """For the file's metadata."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "About":
        """Read back what `to_json` wrote. Raises `ValueError` where it is something else."""
        values: dict[str, Any] = from_json(text)
        if values.pop("format", None) != FORMAT:
            raise ValueError(f"an evaluation of another format than {FORMAT}")
        values["systems"] = tuple(from_plain(System, each) for each in values["systems"])
        values["trials"] = tuple(_trial(each) for each in values["trials"])
        return cls(**{**values, "notes": tuple(values["notes"])})


def _trial(values: dict[str, Any]) -> Trial:
    thresholds = {str(rate): float(score) for rate, score in values.pop("thresholds").items()}
    refused = {str(rate): str(why) for rate, why in values.pop("refused").items()}
    return replace(from_plain(Trial, values), thresholds=thresholds, refused=refused)


@dataclass(frozen=True)
class Searched:
    """Searches in memory, without their candidates: an Arrow `table` of `SCHEMA`, and what they are of."""

    table: pa.Table
    about: About

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def mated(self) -> np.ndarray:
        """Whether who is searched for is enrolled, bool (n,)."""
        return self._numbers("mated").astype(bool)

    @cached_property
    def failed(self) -> np.ndarray:
        """Whether no template was made of the probe, bool (n,)."""
        return self._numbers("failed").astype(bool)

    @cached_property
    def scores(self) -> np.ndarray:
        """Of the first candidates, float32 (n,); infinite where a search failed, so that nobody is named."""
        return self._numbers("score", np.inf).astype(np.float32)

    @cached_property
    def ranks(self) -> np.ndarray:
        """The place of the true identity among the candidates, from 1, int32 (n,); 0 where it is none of them."""
        return self._numbers("rank").astype(np.int32)

    @cached_property
    def sizes(self) -> np.ndarray:
        """K, int32 (n,)."""
        return self._numbers("k").astype(np.int32)

    @cached_property
    def splits(self) -> np.ndarray:
        """int32 (n,)."""
        return self._numbers("split").astype(np.int32)

    @cached_property
    def told(self) -> np.ndarray:
        """`expected_false_alarms`, float32 (n,); NaN where nothing was told."""
        return self._numbers("expected_false_alarms", np.nan).astype(np.float32)

    @cached_property
    def systems(self) -> np.ndarray:
        """The number of the system among `about.systems`, int (n,)."""
        codes, names = self.texts("system")
        order = {system.name: at for at, system in enumerate(self.about.systems)}
        return np.array([order[name] for name in names], np.int64)[codes]

    @cached_property
    def people(self) -> np.ndarray:
        """Who is searched for, as a number, int (n,); where nobody knows, everybody is somebody else."""
        codes, names = self.texts("identity")
        probes, _ = self.texts("probe")
        unknown = codes < 0
        return np.unique(np.where(unknown, len(names) + probes, codes), return_inverse=True)[1]

    def texts(self, column: str) -> tuple[np.ndarray, list[str]]:
        """A column as numbers (n,), -1 where it is null, and the texts that they are of."""
        whole = self.table[column].combine_chunks()
        encoded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
        codes = np.asarray(pc.fill_null(encoded.indices, -1)).astype(np.int64)
        return codes, encoded.dictionary.to_pylist()

    def only(self, which: np.ndarray) -> "Searched":
        """Some of the searches, as a bool (n,) picks them."""
        return Searched(self.table.filter(pa.array(which)), self.about)

    def _numbers(self, column: str, null: float | None = None) -> np.ndarray:
        values = self.table[column]
        return np.asarray(values if null is None else pc.fill_null(values, pa.scalar(null, pa.float32())))


class SearchesWriter:
    """Takes searches as they are made; what they are of is known at the end."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def write(self, table: pa.Table) -> None:
        """Append rows of `SCHEMA`."""
        self._writer.write_table(table)

    def finish(self, about: About) -> None:
        """Say what they are of."""
        self._writer.add_key_value_metadata({METADATA.decode(): about.to_json()})


@contextmanager
def searches_file(path: Path) -> Iterator[SearchesWriter]:
    """A file of searches, which appears when the block ends well. Raises `OutputError` where it cannot be written."""
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
        yield SearchesWriter(writer)


def write_comparisons(path: Path, tables: Sequence[pa.Table]) -> None:
    """Write pairs of `PAIRS`. Raises `OutputError` where that fails."""
    with whole_file(path) as temporary:
        pq.write_table(pa.concat_tables(tables) if tables else PAIRS.empty_table(), temporary, compression="zstd")


def is_searches(path: Path) -> bool:
    """Whether a file is one of searches, by its metadata."""
    try:
        return METADATA in (pq.read_metadata(path).metadata or {})
    except UNREADABLE:
        return False


def read_searches(path: Path) -> Searched:
    """Read searches, without their candidates.

    Raises:
        MetricsError: it is no file of searches, or a damaged one.
    """
    try:
        refuse_bomb(path)
        found = pq.read_metadata(path)
        text = (found.metadata or {}).get(METADATA)
        names = found.schema.to_arrow_schema().names
        missing = [name for name in SCHEMA.names if name not in names]
        if text is None or missing:
            raise MetricsError(
                f"{path}: no searches of onek evaluate ({'no column ' + missing[0] if missing else 'no metadata'})"
            )
        columns = [name for name in SCHEMA.names if name != _WITHOUT]
        table = pq.read_table(path, columns=columns, read_dictionary=list(_REPEATED))
        return Searched(table.unify_dictionaries(), About.from_json(text.decode()))
    except (*UNREADABLE, ValueError, KeyError, TypeError) as error:
        raise MetricsError(f"{path}: cannot be read as searches of onek evaluate: {error}") from error


def read_candidates(path: Path, rows: np.ndarray) -> list[list[dict[str, Any]]]:
    """The candidates of some searches, by their rows (n,) in the file."""
    file, start = pq.ParquetFile(path), 0
    found: dict[int, list[dict[str, Any]]] = {}
    for number in range(file.metadata.num_row_groups):
        count = file.metadata.row_group(number).num_rows
        inside = [int(row) for row in rows if start <= row < start + count]
        if inside:
            column = file.read_row_group(number, columns=[_WITHOUT])[_WITHOUT]
            found.update({row: column[row - start].as_py() or [] for row in inside})
        start += count
    return [found[int(row)] for row in rows]


def read_comparisons(path: Path) -> pa.Table:
    """Read pairs; none where there is no such file. Raises `MetricsError` where it is another file."""
    if not path.exists():
        return PAIRS.empty_table()
    try:
        refuse_bomb(path)
        return pq.read_table(path, schema=None, columns=PAIRS.names, read_dictionary=["system", "a", "b"]).unify_dictionaries()
    except (*UNREADABLE, KeyError) as error:
        raise MetricsError(f"{path}: cannot be read as comparisons of onek evaluate: {error}") from error
