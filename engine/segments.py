"""Sealed segments: the rows as Parquet, the index as FAISS bytes, and what is needed of both in memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.catalogue import Segment
from engine.errors import GalleryError
from engine.files import sha256_file
from engine.provenance import Provenance
from engine.templates import Templates, TemplateWriter
from indexes.base import Index
from indexes.flat import Flat
from indexes.kinds import KINDS


@dataclass(frozen=True)
class OpenSegment:
    """A segment that can be searched. `codes` int32 (n,) number the `identities`; `template_ids` (n,); both are Arrow arrays."""

    index: Index
    codes: np.ndarray
    identities: pa.Array
    template_ids: pa.Array


def seal(folder: Path, name: str, made: Provenance, parts: Iterable[Templates]) -> Segment:
    """Write a segment out of templates that were `made` alike, and build its index."""
    rows_file, index_file = folder / f"{name}.parquet", folder / f"{name}.faiss"
    vectors = []
    with TemplateWriter(rows_file, made) as writer:
        for part in parts:
            vectors.append(part.vectors)
            for rows in part.table.to_batches():
                writer.write(rows)
    index = Flat.build(np.concatenate(vectors))
    index.save(index_file)
    return Segment(
        name=name,
        kind=index.kind,
        templates=index.count,
        rows_bytes=rows_file.stat().st_size,
        rows_sha256=sha256_file(rows_file),
        index_bytes=index_file.stat().st_size,
        index_sha256=sha256_file(index_file),
    )


def open_segment(folder: Path, segment: Segment) -> OpenSegment:
    """Load a segment. The index's bytes are parsed only if they are the recorded ones: FAISS's reader trusts what it reads.

    Raises:
        GalleryError: a file is missing or is not what was sealed; names it, what was found and what was recorded.
    """
    rows_file, index_file = folder / f"{segment.name}.parquet", folder / f"{segment.name}.faiss"
    for path, recorded in ((rows_file, segment.rows_bytes), (index_file, segment.index_bytes)):
        if not path.is_file():
            raise GalleryError(f"{path} is missing; restore the gallery from a backup or build it anew")
        if (found := path.stat().st_size) != recorded:
            raise GalleryError(
                f"{path} has {found} bytes, {recorded} were recorded; restore the gallery from a backup or build it anew"
            )
    if (digest := sha256_file(index_file)) != segment.index_sha256:
        raise GalleryError(
            f"{index_file} has the SHA-256 {digest[:12]}, recorded was {segment.index_sha256[:12]}; its bytes have changed"
        )
    if segment.kind not in KINDS:
        raise GalleryError(f"{index_file} is an index of kind {segment.kind}; this onek knows {', '.join(KINDS)}")
    try:
        table = pq.read_table(rows_file, columns=["identity", "template_id"])
    except (OSError, pa.ArrowException) as error:
        raise GalleryError(f"{rows_file} is damaged: {error}; restore the gallery from a backup or build it anew") from error
    index = KINDS[segment.kind].load(index_file)
    if not index.count == table.num_rows == segment.templates:
        raise GalleryError(
            f"{folder}: the index holds {index.count} vectors, the rows are {table.num_rows}, recorded were {segment.templates}"
        )
    identities = table["identity"].combine_chunks().dictionary_encode()
    return OpenSegment(index, identities.indices.to_numpy(), identities.dictionary, table["template_id"].combine_chunks())
