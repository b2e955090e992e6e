"""What a segment's rows say beside the vectors, read without a Python string for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.common.late import pc
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


def opened_rows(rows_file: Path, read_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    """The rows of a segment, to be read; `read_dictionary` as of `pyarrow.parquet.ParquetFile`.

    Raises:
        TemplatesError: they would unpack to far more than their size; somebody else may have made the gallery.
    """
    refuse_bomb(rows_file)
    return pq.ParquetFile(rows_file, read_dictionary=list(read_dictionary), pre_buffer=False)


def read_labels(rows_file: Path) -> Labels:
    """The labels of the rows in a file of templates."""
    # Not pq.read_table, which loads pyarrow.dataset and pandas, where that is installed: a third of what `onek list` takes.
    rows = opened_rows(rows_file, read_dictionary=["identity"])
    # Rows that an older onek sealed call the detector's confidence so.
    known = ["quality"] if "detection" in rows.schema_arrow.names else []
    table = rows.read(columns=["identity", "template_id", *known])
    # Of a damaged file Arrow takes numbers that stand for no name, and reads what lies behind the names.
    table["identity"].validate(full=True)
    return labels_of(table)


def labels_of(table: pa.Table) -> Labels:
    """The labels of rows with the columns `identity`, `template_id` and perhaps `quality`; who has one name is one identity."""
    # Chunk by chunk: Arrow's encoding of all of them gives each the names of all, which to unify takes ten times as long.
    named = [chunk.dictionary_encode() for chunk in table["identity"].chunks]
    codes, names = _unified(pa.chunked_array(named, pa.dictionary(pa.int32(), pa.string())))
    quality = qualities_of(table) if "quality" in table.column_names else np.full(len(table), np.nan, np.float32)
    return Labels(codes, names, table["template_id"], quality)


def joined_labels(base: Labels, tail: Labels, renamed: Mapping[str, str]) -> Labels:
    """The labels of a base and of the rows behind it; who has one name is one identity. `renamed`: what identities of the base
    are called in the tail.
    """
    codes, names = base.codes, base.identities
    if renamed:
        codes, names = _called(codes, names, renamed)
    # Of the two only the few names of the tail are made a table of.
    at = pc.index_in(names, value_set=tail.identities)
    here = np.flatnonzero(at.is_valid().to_numpy(zero_copy_only=False))
    number = np.full(len(tail.identities), -1, np.int32)
    number[at.drop_null().to_numpy()] = here
    fresh = number < 0
    number[fresh] = len(names) + np.arange(fresh.sum())
    return Labels(
        np.concatenate([codes, number[tail.codes]]),
        pa.concat_arrays([names, tail.identities.filter(pa.array(fresh))]),
        pa.chunked_array([*base.template_ids.chunks, *tail.template_ids.chunks], pa.string()),
        np.concatenate([base.quality, tail.quality]),
    )


def _called(codes: np.ndarray, names: pa.Array, renamed: Mapping[str, str]) -> tuple[np.ndarray, pa.Array]:
    """The number of each row's name and the names, where some are called otherwise now, and some of these have one name."""
    at = pc.index_in(names, value_set=pa.array(renamed, pa.string()))
    now = pc.coalesce(pa.array(renamed.values(), pa.string()).take(at), names).dictionary_encode()
    return np.asarray(now.indices)[codes], now.dictionary


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
    return or_damaged(lambda: opened_rows(segment_files(folder, segment.name).rows).read(columns=["source"])["source"])
