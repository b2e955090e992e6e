"""Whether a gallery in Milvus is whole."""

from collections.abc import Iterator

import numpy as np

from engine.common.concurrency import batched
from engine.maintenance.integrity import NORM, Fault
from engine.milvus import catalogue as catalogues
from engine.milvus.catalogue import MilvusCatalogue
from engine.milvus.collection import UNMEASURED, holds_templates, search_settings, vectors_in
from engine.milvus.connection.address import Address
from engine.milvus.connection.client import MilvusConnection, key_of
from indexes.base import Progress

# Rows that are looked at together, and how many of them are searched for; the share of these that must be found.
_ROWS, _PROBES, _FOUND = 4096, 8, 0.98


def check(address: Address, progress: Progress | None = None) -> list[Fault]:
    """Everything that is wrong with a gallery: every row is read.

    Raises:
        GalleryError: there is no whole gallery, or Milvus does not answer.
    """
    client = MilvusConnection(address)
    catalogue = catalogues.read(client)
    client.call("load_collection", catalogue.collection, **catalogue.placement.loading())
    return [Fault(str(address), what) for what in _faults(client, catalogue, progress)]


def _faults(client: MilvusConnection, catalogue: MilvusCatalogue, progress: Progress | None) -> Iterator[str]:
    if not holds_templates(client, catalogue.collection):
        yield f"the collection {catalogue.collection} has other fields than templates have"
        return
    if (unfinished := catalogues.building(client)) is not None:
        yield f"a build of it was cut off; the collection {unfinished} is left over, and the next build takes it away"
    total = client.count(catalogue.collection)
    firsts: dict[str, int] = {}
    count = long = strange = unmeasured = missed = searched = 0
    for part in batched(client.rows(catalogue.collection, "", catalogue.whole), _ROWS):
        vectors = vectors_in(part, catalogue.provenance.dim)
        long += int((~(np.abs(np.linalg.norm(vectors, axis=1) - 1) < NORM)).sum())
        strange += sum(row["key"] != key_of(row["template_id"]) or row["person"] != key_of(row["identity"]) for row in part)
        unmeasured += sum(row["density"] == UNMEASURED or not row["following"] >= row["density"] - NORM for row in part)
        for row in part:
            firsts[row["person"]] = firsts.get(row["person"], 0) + row["first"]
        missed += _missed(client, catalogue, vectors)
        searched += min(len(part), _PROBES)
        count += len(part)
        if progress:
            progress("rows", count, total)
    if count != client.count(catalogue.collection):
        yield f"it gave {count} rows and counts {total}; somebody may be enrolling"
    if long:
        yield f"{long} vectors have not the norm 1"
    if strange:
        yield f"{strange} rows have keys that are not those of their ids and identities"
    if unmeasured and catalogue.scoring.scaled:
        yield f"{unmeasured} templates have no density: an enrolment was cut off, so enrol them again"
    if wrong := sum(stand != 1 for stand in firsts.values()):
        yield f"{wrong} identities are counted never or twice: two enrolled at once, so enrol one of their templates again"
    if missed > (0 if catalogue.kind.effort is None else (1 - _FOUND) * searched):
        yield f"the index does not find {missed} of {searched} templates that were searched for themselves"


def _missed(client: MilvusConnection, catalogue: MilvusCatalogue, vectors: np.ndarray) -> int:
    hits = client.call(
        "search",
        catalogue.collection,
        data=list(vectors[:_PROBES]),
        limit=1,
        output_fields=["vector"],
        anns_field="vector",
        search_params=search_settings(catalogue.kind, catalogue.effort),
    )
    return sum(
        not found or float(np.linalg.norm(np.array(found[0]["entity"]["vector"], np.float32) - vector)) > NORM
        for found, vector in zip(hits, vectors[:_PROBES], strict=True)
    )
