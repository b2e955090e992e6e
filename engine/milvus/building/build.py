"""Building a gallery in Milvus: it is made and calibrated as in a folder, and moved there."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Unpack
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import GalleryError, OutputError, PlanError, TemplatesError
from engine.files.object_storage import require_writable
from engine.gallery.build import BuildOptions
from engine.gallery.gallery import Gallery
from engine.milvus import catalogue as catalogues
from engine.milvus.backend import MilvusBackend
from engine.milvus.building.bulk_import import bucket_of, import_rows
from engine.milvus.building.placement import Placement, placement
from engine.milvus.catalogue import MilvusCatalogue
from engine.milvus.collection import (
    MILVUS_ONLY,
    IndexKind,
    create,
    efforts,
    holds_templates,
    index,
    index_kind,
    longest_text,
    put,
    require_kind,
    rows_of,
    search_settings,
)
from engine.milvus.connection.address import Address
from engine.milvus.connection.client import LONG, MilvusConnection, Row
from engine.storage.segments import mated_probes, segment_files
from engine.storage.segments.files import SegmentFiles
from engine.templates.enrolment import Source
from engine.templates.parquet import in_current_format
from indexes.base import Progress
from indexes.files import open_vectors
from indexes.planner import RECALL
from indexes.tuning.operating_point import SAME, nearest_distances

_ROWS, _PROBES = 8192, 256


def build(
    templates: Source,
    address: Address,
    *,
    overwrite: bool = False,
    milvus: str | None = None,
    **options: Unpack[BuildOptions],
) -> Gallery:
    """As `Gallery.build`. Densities and the calibration are made here, in a temporary folder, so that they are
    those of a gallery in a folder; then rows and calibration go to Milvus, its index is built there, and its effort found.

    `milvus` is what `engine.milvus.building.placement.placement` reads.

    Readers of a gallery that is replaced see the old one until the new one is whole.

    Raises:
        OutputError: there is one already and `overwrite` is false.
        GalleryError: Milvus does not answer, or a collection of that name is not ours.
        OnekError: as `Gallery.build`.
    """
    where = Placement() if milvus is None else placement(milvus)
    client = MilvusConnection(address)
    if client.lite and milvus is not None:
        raise GalleryError(f"--milvus {milvus}: milvus-lite is one process, with nothing to place; expected a Milvus server")
    asked, recall = options.get("index"), options.get("recall", RECALL)
    if asked is not None:
        require_kind(client, asked)
    if asked in MILVUS_ONLY:
        options["index"] = None
    old = _replaced(client, overwrite)
    catalogues.require_writable(client)
    if bucket := bucket_of(client):
        require_writable(bucket / address.name)
    with tempfile.TemporaryDirectory(prefix="onek-") as folder:
        local = Gallery.build(templates, Path(folder) / "gallery", **options)
        kind = index_kind(asked or local.info().index, len(local))
        collection = f"{address.name}_{uuid4().hex[:12]}"
        catalogues.begin(client, collection)
        create(client, collection, local.provenance.dim, where)
        _move(client, collection, local, options.get("progress"))
        effort, found = _indexed(client, collection, kind, where, local, recall, options.get("progress"))
        catalogues.write(
            client,
            MilvusCatalogue(
                collection,
                local.info().created,
                local.provenance,
                local.scoring,
                kind,
                effort,
                found,
                local.calibration,
                placement=where,
            ),
        )
    for each in old:
        if client.call("has_collection", each):
            client.call("drop_collection", each, seconds=LONG)
    return Gallery(MilvusBackend(client))


def _replaced(client: MilvusConnection, overwrite: bool) -> list[str]:
    """The collections that are dropped once the new one is complete."""
    address = client.address
    if not client.call("has_collection", address.name):
        return []
    if not overwrite:
        try:
            catalogues.read(client)
        except GalleryError as error:
            raise OutputError(str(error)) from error
        raise OutputError(f"{address} exists already; choose another name, or pass overwrite=True to replace it")
    catalogues.require_ours(client)
    ours = re.compile(rf"{address.name}_[0-9a-f]{{12}}")
    return [name for name in client.call("list_collections") if ours.fullmatch(name) and holds_templates(client, name)]


def _move(client: MilvusConnection, collection: str, local: Gallery, progress: Progress | None) -> None:
    batches = _rows(local, progress)
    if bucket := bucket_of(client):
        import_rows(client, collection, batches, bucket)
        return
    for rows in batches:
        put(client, collection, rows)


def _rows(local: Gallery, progress: Progress | None) -> Iterator[list[Row]]:
    """All rows of a gallery that was just built."""
    enrolled, done = local.enrolled, 0
    codes, seen = enrolled.members.codes, np.zeros(enrolled.members.identities, bool)
    rows_file = _files(local).rows
    for batch in pq.ParquetFile(rows_file).iter_batches(batch_size=_ROWS):
        table = in_current_format(pa.Table.from_batches([batch]), local.provenance)
        for column, text in longest_text(table):
            raise TemplatesError(f"the {column} {text[:40]}... has {len(text.encode())} bytes; Milvus keeps 65,535")
        here = slice(done, done + len(table))
        first = np.zeros(len(table), bool)
        new, at = np.unique(codes[here], return_index=True)
        first[at[~seen[new]]] = True
        seen[new] = True
        density = None if enrolled.density is None else enrolled.density[here]
        yield rows_of(table, density, enrolled.counted[codes[here]], first)
        done += len(table)
        if progress:
            progress("moving to Milvus", done, len(local))


def _files(local: Gallery) -> SegmentFiles:
    """Rows, vectors and the rest of a gallery that was just built."""
    (name,) = local.segment_names
    return segment_files(Path(local.path), name)


def _indexed(
    client: MilvusConnection,
    collection: str,
    kind: IndexKind,
    where: Placement,
    local: Gallery,
    recall: float,
    progress: Progress | None,
) -> tuple[int | None, float]:
    """Build the index; the least effort that finds the share of exact rank-1 answers asked for, and what it finds."""
    said = progress or (lambda *_: None)
    said("Milvus's index", 0, 1)
    index(client, collection, kind, where)
    said("Milvus's index", 1, 1)
    if (there := client.count(collection)) != len(local):
        raise GalleryError(f"{client.address}: Milvus holds {there:,} templates of {len(local):,} that it was given; build anew")
    if kind.effort is None:
        return None, 1.0
    store = open_vectors(_files(local).vectors)
    probes, _ = mated_probes(store, local.enrolled.members.codes, local.provenance.encoder)
    nearest = nearest_distances(store, probes)
    steps, found = efforts(kind), 0.0
    for number, effort in enumerate(steps):
        found = float(np.mean(_distances(client, collection, kind, effort, probes) <= nearest + SAME))
        said("measuring", number + 1, len(steps))
        if found >= recall:
            said("measuring", len(steps), len(steps))
            return effort, found
    raise PlanError(
        f"a recall of {recall:g} was asked for; Milvus's {kind.name} reached {found:.4f} with {kind.effort} {steps[-1]}. "
        "Ask for less with --recall, or take --index flat"
    )


def _distances(client: MilvusConnection, collection: str, kind: IndexKind, effort: int, probes: np.ndarray) -> np.ndarray:
    best = np.full(len(probes), np.inf, np.float32)
    for start in range(0, len(probes), _PROBES):
        hits = client.call(
            "search",
            collection,
            data=list(probes[start : start + _PROBES]),
            limit=5,
            output_fields=["vector"],
            anns_field="vector",
            search_params=search_settings(kind, effort),
        )
        for at, found in enumerate(hits, start):
            if found:
                vectors = np.array([hit["entity"]["vector"] for hit in found], np.float32)
                best[at] = np.linalg.norm(vectors - probes[at], axis=1).min()
    return best
