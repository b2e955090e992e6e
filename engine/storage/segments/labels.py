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


def read_labels(rows_file: Path) -> Labels:
    """The labels of the rows in a file of templates; who has one name is one identity."""
    refuse_bomb(rows_file)
    # Not pq.read_table, which loads pyarrow.dataset and pandas, where that is installed: a third of what `onek list` takes.
    rows = pq.ParquetFile(rows_file, read_dictionary=["identity"])
    # Rows that an older onek sealed call the detector's confidence so.
    known = ["quality"] if "detection" in rows.schema_arrow.names else []
    table = rows.read(columns=["identity", "template_id", *known])
    # Of a damaged file Arrow takes numbers that stand for no name, and reads what lies behind the names.
    table["identity"].validate(full=True)
    codes, names = _unified(table["identity"])
    quality = qualities_of(table) if "quality" in table.column_names else np.full(len(table), np.nan, np.float32)
    return Labels(codes, names, table["template_id"], quality)


def joined_labels(parts: Sequence[Labels], renamed: Mapping[str, str]) -> Labels:
    """The labels of rows that lie one behind the other. `renamed`: what identities of the first part are called in those behind
    it.
    """
    names = [part.identities for part in parts]
    if renamed:
        names[0] = pa.array([renamed.get(name, name) for name in names[0].to_pylist()], pa.string())
    chunks = [pa.DictionaryArray.from_arrays(pa.array(part.codes), called) for part, called in zip(parts, names, strict=True)]
    codes, identities = _unified(pa.chunked_array(chunks))
    ids = pa.chunked_array([chunk for part in parts for chunk in part.template_ids.chunks], pa.string())
    return Labels(codes, identities, ids, np.concatenate([part.quality for part in parts]))


def _unified(named: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """The number of each row's name, int32 (n,), and the names, each of them once."""
    whole = named.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # of no rows at all
        whole = whole.chunk(0)
    # The numbers as they lie in memory: `to_numpy` would load pandas.
    indices = whole.indices
    return np.frombuffer(indices.buffers()[1], np.int32, len(indices), 4 * indices.offset), whole.dictionary


def read_sources(folder: Path, segment: Segment) -> pa.ChunkedArray:
    """Where each template of a segment came from, (n,); nulls where nobody said."""
    return or_damaged(lambda: pq.ParquetFile(segment_files(folder, segment.name).rows).read(columns=["source"])["source"])
