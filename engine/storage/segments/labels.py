"""What a segment's rows say beside the vectors, read without a Python string for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.files.budgets import refuse_bomb
from engine.storage.catalogue import Segment
from engine.storage.segments.files import or_damaged, segment_files
from engine.templates.model import qualities_of


@dataclass(frozen=True)
class Labels:
    """The identity of each row as a number, int32 (n,), the identities' names, and the template ids; no Python strings. `quality`
    float32 (n,): what each is worth, NaN where nobody said.
    """

    codes: np.ndarray
    identities: pa.Array
    template_ids: pa.ChunkedArray
    quality: np.ndarray


def read_labels(rows_files: Sequence[Path], renamed: Mapping[str, str] | None = None) -> Labels:
    """The labels of rows that lie in several files, one behind the other; who has one name is one identity. `renamed`: what
    identities of the first file are called in those behind it.
    """
    tables = [_read(file) for file in rows_files]
    named = [table["identity"] for table in tables]
    if renamed:
        named[0] = _called(named[0], renamed)
    identities = pa.chunked_array([chunk for each in named for chunk in each.chunks], named[0].type)
    identities = identities.unify_dictionaries().combine_chunks()
    if isinstance(identities, pa.ChunkedArray):  # of no rows at all
        identities = identities.chunk(0)
    # The numbers as they lie in memory: `to_numpy` would load pandas.
    indices = identities.indices
    codes = np.frombuffer(indices.buffers()[1], np.int32, len(indices), 4 * indices.offset)
    found = [table["template_id"] for table in tables]
    ids = pa.chunked_array([chunk for each in found for chunk in each.chunks], found[0].type)
    return Labels(codes, identities.dictionary, ids, np.concatenate([_quality(table) for table in tables]))


def _read(rows_file: Path) -> pa.Table:
    refuse_bomb(rows_file)
    # Not pq.read_table, which loads pyarrow.dataset and pandas, where that is installed: a third of what `onek list` takes.
    rows = pq.ParquetFile(rows_file, read_dictionary=["identity"])
    # Rows that an older onek sealed call the detector's confidence so.
    known = ["quality"] if "detection" in rows.schema_arrow.names else []
    table = rows.read(columns=["identity", "template_id", *known])
    # Of a damaged file Arrow takes numbers that stand for no name, and reads what lies behind the names.
    table["identity"].validate(full=True)
    return table


def _quality(table: pa.Table) -> np.ndarray:
    return qualities_of(table) if "quality" in table.column_names else np.full(len(table), np.nan, np.float32)


def _called(identities: pa.ChunkedArray, renamed: Mapping[str, str]) -> pa.ChunkedArray:
    """The same identities under other names, of which some may be one name now."""
    chunks = []
    for chunk in identities.chunks:
        names = pa.array([renamed.get(name, name) for name in chunk.dictionary.to_pylist()], pa.string())
        chunks.append(pa.DictionaryArray.from_arrays(chunk.indices, names))
    return pa.chunked_array(chunks, identities.type)


def read_sources(folder: Path, segment: Segment) -> pa.ChunkedArray:
    """Where each template of a segment came from, (n,); nulls where nobody said."""
    return or_damaged(lambda: pq.ParquetFile(segment_files(folder, segment.name)[0]).read(columns=["source"])["source"])
