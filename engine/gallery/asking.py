"""Identifying and verifying probes, vectors or photographs: the probes are prepared once, then compared with a snapshot."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from engine.answers.results import Results
from engine.answers.snapshot import Snapshot
from engine.answers.verification import Verification
from engine.common.concurrency import batched
from engine.errors import PhotographsError, require_text, require_whole
from engine.gallery.joining import Photographs
from engine.matching.pair_verifier import PairVerifier
from engine.templates.given import Vectors, are_vectors, templates_given
from engine.templates.model import Templates
from engine.templates.problems import ALL_SEEN
from engine.templates.provenance import require_same

if TYPE_CHECKING:
    from engine.embedding.embedder import Embedder

# What makes templates of photographs is imported where photographs are met: a question about vectors does without OpenCV.

Probes = Vectors | Templates | Photographs
# Photographs that are embedded before they are searched for together.
_TOGETHER = 1024


def identifying(
    probes: Probes,
    embedder: "Callable[[int], Embedder]",
    *,
    threshold: float | None,
    fpir: float | None,
    top: int,
    faces: str | None,
    head: PairVerifier | None,
    quality: float,
    modality: str,
) -> Callable[[Snapshot], Results]:
    """A function that identifies these probes in a snapshot; arguments and errors as of `Gallery.identify`.

    `embedder(n)` returns an embedder for n photographs; `faces` applies to photographs only. `modality`: what the gallery's
    templates are made of.
    """
    require_whole("top", top)
    if isinstance(probes, Templates) or are_vectors(probes):
        if faces is not None:
            raise PhotographsError(f"faces={faces!r} goes with photographs; the probes are vectors already")
        templates = probes if isinstance(probes, Templates) else templates_given(probes)

        def of_templates(seen: Snapshot) -> Results:
            require_same(seen.provenance, templates.provenance, seen.called, "the probe file")
            return Results(seen.identify(templates, seen.threshold(threshold, fpir), top, head, quality))

        return of_templates
    from engine.embedding.in_memory import list_photographs
    from engine.embedding.outcome import unseen_in

    pictures = [probes] if isinstance(probes, np.ndarray) else cast(Photographs, probes)
    photographs = list_photographs(pictures, "none", modality=modality)
    ready = embedder(len(photographs))

    def of_photographs(seen: Snapshot) -> Results:
        limit = seen.threshold(threshold, fpir)
        tables, unseen = [], ALL_SEEN
        for part in batched(ready.stream(photographs), _TOGETHER):
            tables.append(seen.identify_outcomes(part, ready, limit, top, head, quality))
            unseen += unseen_in(part)
        return Results(pa.concat_tables(tables), unseen)

    return of_photographs


def verifying(
    probe: np.ndarray | str | Path,
    embedder: "Callable[[], Embedder]",
    identity: str,
    *,
    threshold: float | None,
    fmr: float | None,
    head: PairVerifier | None,
    quality: float,
) -> Callable[[Snapshot], Verification]:
    """A function that compares a probe with an identity of a snapshot; arguments and errors as of `Gallery.verify`."""
    require_text("identity", identity)

    def verified(seen: Snapshot) -> Verification:
        claim = seen.claim(identity, threshold, fmr, head)
        if are_vectors(probe):
            templates = templates_given(probe)
            require_same(seen.provenance, templates.provenance, seen.called, "the probe")
            return claim.verified("vector", templates.vectors[0])
        from engine.embedding.in_memory import one_face

        return claim.verified(*one_face(probe, embedder(), quality))

    return verified
