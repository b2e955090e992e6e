"""People who are to be enrolled, as templates: those given, or made of photographs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from engine.errors import PhotographsError, TemplatesError
from engine.templates.anonymise import without_sources
from engine.templates.enrolment import Joining
from engine.templates.given import Names, Vectors, are_vectors, templates_given
from engine.templates.model import Templates
from engine.templates.names import name_of
from engine.templates.provenance import PICTURE
from engine.templates.quality import LEAST
from engine.templates.quality.refusal import of_templates

if TYPE_CHECKING:
    from engine.embedding.embedder import Embedder
    from engine.faces.images import LeftOut

Photographs = str | Path | Sequence[str | Path | np.ndarray]
People = Templates | Vectors | Photographs


def joining_of(
    people: People,
    embedder: "Callable[[int], Embedder]",
    *,
    names: Names | None = None,
    identity: str | None = None,
    faces: str | None = None,
    sources: bool = True,
    quality: float = LEAST,
    left_out: "Callable[[LeftOut], None] | None" = None,
    modality: str = PICTURE,
) -> Joining:
    """Templates of people to enrol, and what the result reports beside them: problems, labels, unseen faces.

    Args:
        people: templates with identities, vectors, or photographs as for `embed_images`.
        embedder: called with the number of photographs, returns an embedder for them.
        names: whose the vectors are, one for each.
        identity: whose they all are; by default as the photographs' names say.
        faces: what the user said of the photographs' faces; templates have none.
        sources: whether the photographs' paths are kept; pictures in memory have none.
        quality: the share of ordinary photographs that must be worse; what is below is a problem, of templates too.
        left_out: told what below a folder is not taken for a photograph, and why.
        modality: what the embedder takes, where that is no photographs.

    Raises:
        PhotographsError: `faces` goes with photographs, or there are none.
        TemplatesError: `names` goes with vectors.
    """
    if are_vectors(people):
        people = templates_given(people, names)
    elif names is not None:
        raise TemplatesError("names go with vectors, one for each; identity='...' says whose photographs or templates all are")
    if isinstance(people, Templates):
        if faces is not None:
            raise PhotographsError(f"faces={faces!r} goes with photographs; those to enrol are templates already")
        given, problems = of_templates(people if identity is None else people.of(identity), quality)
        return Joining(given if sources else Templates(without_sources(given.table), given.provenance), problems)
    # Late: a question about vectors does without OpenCV.
    from engine.embedding.in_memory import list_labelled
    from engine.embedding.outcome import of_one_face, of_quality, once_each, problems_of, to_batch, unseen_in

    labelled = list_labelled(cast(Photographs, people), "none" if identity is not None else None, left_out, modality)
    if identity is not None:
        labelled = labelled.of(name_of(identity))
    ready = embedder(len(labelled.photographs))
    outcomes = list(map(of_quality(quality), map(of_one_face, once_each(ready.stream(labelled.photographs), {}))))
    rows = pa.Table.from_batches([to_batch(outcomes, ready.provenance)])
    if not sources or isinstance(labelled.photographs[0].image, np.ndarray):
        rows = without_sources(rows)
    return Joining(Templates(rows, ready.provenance), tuple(problems_of(outcomes)), labelled.labelling, unseen_in(outcomes))
