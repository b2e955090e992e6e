"""Who is enrolled: listed, shown, enrolled, renamed, removed, erased."""

import time
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from fastapi import APIRouter, Path, Query, Request
from pydantic import AfterValidator
from starlette.concurrency import run_in_threadpool

from engine.embedding.outcome import of_one_face, of_quality
from engine.errors import GalleryBusy, GalleryError, OnekError, OutputError, TemplatesError
from engine.service.access.paths import name_in
from engine.service.access.signing import read_signed, signed
from engine.service.access.tokens import Token
from engine.service.api.asked import ERRORS, AsAdmin, AtDesk, IdentityPath, Service, TheGallery, TheService, enrolled
from engine.service.api.bodies import PICTURES_OR_VECTORS, has_vectors, pictures_of, vectors_of
from engine.service.api.errors import Refused
from engine.service.api.models import Compacted, Enrolled, Identities, IdentityShown, Receipt, Removed, Rename, Renamed
from engine.service.galleries import Served
from engine.service.records.events import Event, now
from engine.templates.model import Templates, batch, normalised
from engine.templates.names import name_of
from engine.templates.provenance import Provenance, require_same
from engine.templates.quality import LEAST

router = APIRouter(prefix="/v1/galleries/{gallery}", responses=ERRORS, tags=["people"])
TemplateId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9._:#@+-]{1,128}$",
        description="What you call the template: letters, digits and . _ : # @ + -. The same request twice is one enrolment.",
    ),
]
# Seconds that a writer waits for another, and times that an erasure is tried while somebody reads.
_WAIT, _TRIES = 10.0, 20


@router.get("/identities", response_model=Identities, summary="Who is enrolled")
def identities(
    service: TheService,
    token: AtDesk,  # noqa: ARG001 - who may
    served: TheGallery,
    search: Annotated[str, Query(max_length=200, description="A part of the name, in any case.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=4000, description="`next` of the page before.")] = None,
) -> Identities:
    """In the order of their names, by pages. Who joins meanwhile is on a page if the name lies behind the cursor."""
    after = None
    if cursor is not None:
        said = read_signed(service.settings.secret, "identities", cursor)
        if said is None or said["gallery"] != served.name or said["search"] != search:
            raise Refused(400, "cursor", "this cursor is not of this service, gallery and search; begin without one")
        after = said["after"]
    wanted = search.casefold()
    page: list[tuple[str, int]] = []
    for name, count in served.listed():
        if (after is None or name > after) and (not wanted or wanted in name.casefold()):
            page.append((name, count))
            if len(page) > limit:
                break
    more = len(page) > limit
    page = page[:limit]
    following = {"gallery": served.name, "search": search, "after": page[-1][0]} if more else None
    return Identities(
        identities=[{"identity": name, "templates": count} for name, count in page],  # type: ignore[misc]
        next=signed(service.settings.secret, "identities", following) if following else None,
    )


@router.put(
    "/identities/{identity:path}/templates/{template_id}",
    response_model=Enrolled,
    openapi_extra=PICTURES_OR_VECTORS,
    summary="Enrol a template under an id of your choosing",
)
async def enroll(
    request: Request,
    service: TheService,
    token: AtDesk,
    served: TheGallery,
    identity: IdentityPath,
    template_id: TemplateId,
    on_match: Annotated[
        Literal["warn", "refuse", "ignore"], Query(description="What becomes of a face that the gallery takes for another's.")
    ] = "warn",
) -> Enrolled:
    """Durable when answered, and seen by every later search. The picture is not kept, the template is."""
    name = name_of(identity)
    templates, quality = await _template(request, service, served, name, template_id)

    def join() -> Enrolled:
        if _is_there(served, name, template_id, templates.vectors[0]):
            return Enrolled(
                identity=name,
                template_id=template_id,
                created=False,
                replaced=False,
                quality=quality,
                matches=[],
                templates=len(served.gallery),
            )
        try:
            done = served.gallery.enroll(templates, on_duplicate="own", on_match=on_match, wait=_wait(served))
        except TemplatesError as error:
            raise Refused(409, "templates_error", " ".join(str(error).split())) from error
        _note(service, request, token, served, "enroll", name)
        found = [
            {"identity": match.enrolled_as, "score": match.score, "distance": match.distance} for match in done.matches.found
        ]
        return Enrolled(
            identity=name,
            template_id=template_id,
            created=not done.replaced,
            replaced=bool(done.replaced),
            quality=quality,
            matches=found,
            templates=len(served.gallery),
        )

    return await run_in_threadpool(join)


@router.delete(
    "/identities/{identity:path}/templates/{template_id}", response_model=Removed, summary="Remove one template of somebody"
)
def remove_template(
    request: Request,
    service: TheService,
    token: AtDesk,
    served: TheGallery,
    identity: IdentityPath,
    template_id: Annotated[str, AfterValidator(name_in), Path(max_length=200)],
) -> Removed:
    """No search returns it from then on. With the last one somebody is removed."""
    name = enrolled(served, identity)
    if template_id not in served.gallery.snapshot().templates_of(name)[0]:
        raise Refused(404, "template_not_found", "this identity has no template of that id")
    served.gallery.remove(templates=template_id, wait=_wait(served))
    if served.gallery.snapshot().enrols(name):
        _note(service, request, token, served, "remove", name)
    else:
        _left(service, request, token, served, name)
    return Removed(identity=name, templates=1, awaiting_erasure=_awaiting(served))


@router.post("/identities/{identity:path}/erase", response_model=Receipt, summary="Erase somebody, and verify it")
def erase(request: Request, service: TheService, token: AsAdmin, served: TheGallery, identity: IdentityPath) -> Receipt:
    """Remove somebody, take the events and pictures away, write the gallery's files anew without, and look through all of it.
    Where a part of that fails, `not_erased` says which.
    """
    if not served.gallery.capabilities.files:
        raise GalleryError(f"{served.name} lies in no folder: remove takes somebody out of it, and its own place erases")
    name = enrolled(served, identity)
    ids, _ = served.gallery.snapshot().templates_of(name)
    served.gallery.remove(name, wait=_wait(served))
    events, pictures, still = 0, 0, []
    try:
        events, pictures = service.forget(served, name)
    except OutputError as error:
        still.append(str(error))
    try:
        _compacted(served)
    except OnekError as error:
        still.append(f"the bytes of {len(ids)} templates are still there: {error}")
    _note(service, request, token, served, "remove" if still else "erase", None)
    if still:
        raise _not_erased(f"{name} is removed, but {', and '.join(still)}")
    return Receipt(
        gallery=served.name,
        identity=name,
        templates=len(ids),
        template_ids=ids,
        events=events,
        pictures=pictures,
        erased_at=now(),
        verified=True,
    )


@router.post("/compact", response_model=Compacted, summary="Erase whoever was removed, and verify it")
def compact(service: TheService, token: AsAdmin, served: TheGallery) -> Compacted:  # noqa: ARG001 - who may
    """Write the gallery's files anew without what was removed, look through them, and erase events and pictures of who left."""
    erased = _compacted(served)
    try:
        service.follow(served)
    except OutputError as error:
        raise _not_erased(f"the gallery is compacted, but {error}") from error
    return Compacted(gallery=served.name, templates=len(served.gallery), erased=erased)


@router.get("/identities/{identity:path}", response_model=IdentityShown, summary="Show somebody")
def show(service: TheService, token: AtDesk, served: TheGallery, identity: IdentityPath) -> IdentityShown:  # noqa: ARG001
    """How many templates somebody has, and their ids."""
    name = enrolled(served, identity)
    ids, _ = served.gallery.snapshot().templates_of(name)
    return IdentityShown(identity=name, templates=len(ids), template_ids=ids)


@router.patch("/identities/{identity:path}", response_model=Renamed, summary="Call somebody otherwise")
def rename(
    request: Request,
    service: TheService,
    token: AtDesk,
    served: TheGallery,
    identity: IdentityPath,
    new: Rename,
) -> Renamed:
    """With `merge`, make one identity of two. Events and pictures go by the new name."""
    name, called = enrolled(served, identity), name_of(new.identity)
    count = served.gallery.rename(name, called, merge=new.merge, wait=_wait(served))
    _note(service, request, token, served, "rename", called)
    try:
        service.call(served, name, called)
    except OutputError as error:
        why = f"{name} is called {called} now, but events or pictures are not: {error}; it is tried once more, or they go"
        raise Refused(409, "not_followed", why) from error
    return Renamed(identity=called, templates=count)


@router.delete("/identities/{identity:path}", response_model=Removed, summary="Remove somebody")
def remove(request: Request, service: TheService, token: AtDesk, served: TheGallery, identity: IdentityPath) -> Removed:
    """No search returns them from then on, and their events and pictures are taken away; their bytes await erasure."""
    name = enrolled(served, identity)
    count = served.gallery.remove(name, wait=_wait(served))
    _left(service, request, token, served, name)
    return Removed(identity=name, templates=count, awaiting_erasure=_awaiting(served))


def _note(service: Service, request: Request, token: Token, served: Served, kind: str, identity: str | None) -> None:
    """Record that somebody changed the gallery."""
    service.note(served, [Event(now(), kind, identity, None, None, None, None, token.id or None, request.state.request_id)])


def _left(service: Service, request: Request, token: Token, served: Served, name: str) -> None:
    """Somebody was removed: take the events and pictures away.

    Raises:
        Refused: they are still there.
    """
    _note(service, request, token, served, "remove", None)
    try:
        service.forget(served, name)
    except OutputError as error:
        raise _not_erased(f"{name} is removed, but {error}") from error


def _not_erased(what: str) -> Refused:
    """The answer where somebody left, and something of theirs is still there."""
    return Refused(
        409, "not_erased", " ".join(f"{what}; POST compact tries again, and the service does within ten minutes".split())
    )


async def _template(
    request: Request, service: Service, served: Served, identity: str, template_id: str
) -> tuple[Templates, float | None]:
    """What a request brings to enrol, as one template, and the quality of its face."""
    if has_vectors(request):
        vectors = await vectors_of(request, 1)
        made = served.gallery.provenance
        require_same(made, Provenance.foreign(vectors.shape[1]), served.name, "the vector")
        unit = normalised(vectors, "the vector", 0)
        return _of(made, identity, template_id, unit), None
    (picture, *_) = await pictures_of(request, 1)
    embedder = service.recognition.embedder(served, None)
    (outcome,) = map(of_quality(LEAST), map(of_one_face, await service.recognition.embedded(embedder, [picture], identity)))
    if outcome.problem is not None:
        raise Refused(422, "image_problem", outcome.problem)
    (face,), (worth,) = outcome.faces, outcome.worth
    more: dict[str, Any] = {"qualities": [worth.quality], "detections": [face.detection], "reasons": [worth.reasons]}
    templates = _of(embedder.provenance, identity, template_id, outcome.vectors, faces=[0], boxes=[face.box], **more)
    return templates, worth.quality


def _of(made: Provenance, identity: str, template_id: str, vectors: np.ndarray, **more: Any) -> Templates:
    rows = batch(made, template_ids=[template_id], identities=[identity], vectors=vectors, **more)
    return Templates(pa.Table.from_batches([rows]), made)


def _is_there(served: Served, identity: str, template_id: str, vector: np.ndarray) -> bool:
    """Whether the very same template is enrolled already, so that the request is a repetition."""
    if not served.enrolled_among([identity]):
        return False
    ids, vectors = served.gallery.snapshot().templates_of(identity)
    return template_id in ids and np.array_equal(vectors[ids.index(template_id)], vector)


def _compacted(served: Served) -> int:
    """Compact, and try again while somebody is reading the catalogue. How many removed templates were erased."""
    for _ in range(_TRIES):
        try:
            return served.gallery.compact(wait=_wait(served))
        except GalleryBusy:
            time.sleep(0.25)
    return served.gallery.compact(wait=_wait(served))


def _wait(served: Served) -> float | None:
    return _WAIT if served.gallery.capabilities.files else None


def _awaiting(served: Served) -> int | None:
    return getattr(served.gallery.info(), "awaiting_erasure", None)
