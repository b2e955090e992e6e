"""Who is it, and is it who it is said to be: `identify` and `verify`."""

import math
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from engine.answers.snapshot import Snapshot
from engine.answers.verification import Verification
from engine.calibration.thresholds import IDENTIFIED, MatchThreshold, ThresholdUsed
from engine.embedding.outcome import Outcome, of_quality
from engine.faces.chip import CROP_ALIGNMENT
from engine.service.access.tokens import DESK, Token
from engine.service.api.asked import ERRORS, AtDoor, IdentityPath, Service, TheGallery, TheService, enrolled
from engine.service.api.bodies import PICTURES, PICTURES_OR_VECTORS, has_vectors, pictures_of, vectors_of
from engine.service.api.errors import Refused
from engine.service.api.models import Identified, Verified
from engine.service.galleries import Served
from engine.service.liveness.pad import refused_by_pad
from engine.service.recognition import Found, Question
from engine.service.records.events import Event, now
from engine.templates.model import Templates
from engine.templates.provenance import PICTURE, require_same
from engine.templates.quality import LEAST

REFUSED, CHALLENGE, PAD = "refused", "challenge", "pad"
ASK_CHALLENGE = "this service asks for a turn of the head: POST challenges, then POST challenges/answer with `identity`"
_NUMBERS = ("distance", "score", "threshold", "expected_false_alarms")
router = APIRouter(prefix="/v1/galleries/{gallery}", responses=ERRORS, tags=["recognition"])

Fpir = Annotated[
    float | None,
    Query(gt=0, lt=1, description="The share of strangers' searches that may get a name. By default 0.01."),
]
Score = Annotated[
    float | None, Query(ge=0, allow_inf_nan=False, description="The largest score that is accepted, instead of a rate.")
]
Top = Annotated[int, Query(ge=1, le=50, description="How many candidates to list.")]
FacesAsked = Annotated[
    Literal["all", "largest", "none"] | None,
    Query(description="Which faces; none: the picture is a face crop. By default all, or none where the gallery is of crops."),
]
Look = Annotated[
    bool,
    Query(description="Only look, before an enrolment: nothing opens, is counted or is kept. Takes the role desk."),
]
Fmr = Annotated[float | None, Query(gt=0, lt=1, description="The share of pairs of two people that may be the same.")]


@router.post("/identify", response_model=Identified, openapi_extra=PICTURES_OR_VECTORS, summary="Who is it?")
async def identify(
    request: Request,
    service: TheService,
    token: AtDoor,
    served: TheGallery,
    fpir: Fpir = None,
    threshold: Score = None,
    top: Top = 5,
    faces: FacesAsked = None,
    look: Look = False,
) -> Response:
    """Say of each face who it is, or that it is nobody enrolled."""
    if look and not token.may(DESK):
        raise Refused(403, "role", f"the token has the role {token.role}; look takes {DESK}")
    _one_of(fpir=fpir, threshold=threshold)
    question = Question(served, fpir, threshold, top)
    settings = service.settings
    if has_vectors(request):
        if settings.tests_liveness and not look:
            raise Refused(403, "liveness", "vectors say nothing of who stands there, and this service tests that; send pictures")
        probes = Templates.from_vectors(await vectors_of(request, settings.vectors))
        require_same(served.gallery.provenance, probes.provenance, served.name, "the vectors")
        found = await service.recognition.searched(question, probes)
        rows = rows_of(found, None)
    else:
        pictures = await pictures_of(request, settings.pictures)
        outcomes, found = await _looked_for(service, question, pictures, faces)
        rows = rows_of(found, outcomes)
        if settings.challenge is not None and not look:
            refuse(rows, CHALLENGE, range(len(rows)))
        elif service.pad is not None and not look:
            refuse(rows, PAD, await run_in_threadpool(refused_by_pad, service.pad, settings.megapixels, pictures, rows))
        if not look:
            await keep(service, served, request, pictures, rows)
    if not look:
        await count(service, served, token, request, found, rows)
    return answer(served, found, rows)


@router.post("/verify/{identity:path}", response_model=Verified, openapi_extra=PICTURES, summary="Is it who it is said to be?")
async def verify(
    request: Request,
    service: TheService,
    token: AtDoor,
    served: TheGallery,
    identity: IdentityPath,
    fmr: Fmr = None,
    threshold: Annotated[float | None, Query(ge=0, le=2, description="The largest distance that is the same.")] = None,
) -> Verified:
    """Compare the largest face of one picture with an enrolled identity."""
    _one_of(fmr=fmr, threshold=threshold)
    name = enrolled(served, identity)
    (picture, *_) = await pictures_of(request, 1)
    embedder = service.recognition.embedder(served, None)
    (outcome,) = map(of_quality(LEAST), await service.recognition.embedded(embedder, [picture]))
    if outcome.problem is not None:
        raise Refused(422, "image_problem", f"{outcome.problem}, so there is nothing to compare")
    why = None if service.settings.challenge is None else ASK_CHALLENGE
    return await compared(request, service, token, served, name, picture, outcome, fmr=fmr, threshold=threshold, why_not=why)


async def compared(
    request: Request,
    service: Service,
    token: Token,
    served: Served,
    name: str,
    picture: bytes,
    outcome: Outcome,
    *,
    fmr: float | None,
    threshold: float | None,
    why_not: str | None,
) -> Verified:
    """Compare the largest face of a picture with an enrolled identity; `why_not`: why the challenge refuses it, else None."""

    def compare(seen: Snapshot) -> tuple[Verification, MatchThreshold]:
        claim = seen.claim(name, threshold, fmr, None)
        return claim.verified("picture:0", outcome.vectors[0]), seen.match_threshold(threshold, fmr)

    made, limit = await run_in_threadpool(served.gallery.answered, compare)
    refused: str | None = None
    if made.same and why_not is not None:
        refused = CHALLENGE
    elif made.same and service.pad is not None:
        row = {"probe": "picture:0", "decision": IDENTIFIED, "box": box_of(outcome, 0)}
        if await run_in_threadpool(refused_by_pad, service.pad, service.settings.megapixels, [picture], [row]):
            refused = PAD
    decision = REFUSED if refused else "same" if made.same else "different"
    service.numbers.decisions.labels(served.name, decision).inc()
    event = Event(
        now(), "verify", name, decision, made.distance, made.threshold, None, token.id or None, request.state.request_id
    )
    await run_in_threadpool(service.note, served, [event])
    return Verified(
        identity=name,
        same=made.same and refused is None,
        distance=made.distance,
        threshold=made.threshold,
        template_id=made.template_id,
        says=str(limit),
        refused_by=refused,  # type: ignore[arg-type]
        reasons=why_not if refused == CHALLENGE else None,
    )


def _one_of(**given: float | None) -> None:
    """Refuse a rate and a threshold that are both given."""
    if None not in given.values():
        both = " and ".join(f"{name}={value:g}" for name, value in given.items())
        raise Refused(422, "invalid", f"query: {both} were both given; expected one of them")


async def _looked_for(
    service: Service, question: Question, pictures: list[bytes], faces: str | None
) -> tuple[list[Outcome], Found]:
    made = question.served.gallery.provenance
    usual = "all" if made.modality == PICTURE and made.alignment != CROP_ALIGNMENT else None
    embedder = service.recognition.embedder(question.served, faces or usual)
    outcomes = await service.recognition.embedded(embedder, pictures)
    return outcomes, await service.recognition.identified(question, outcomes, embedder)


def rows_of(found: Found, outcomes: list[Outcome] | None) -> list[dict[str, Any]]:
    """Rows as `models.Row` describes them; boxes are those of the pictures."""
    where: list[tuple[Any, Any]] = [(None, None)] * len(found.rows)
    if outcomes is not None:
        where = []
        for outcome in outcomes:
            where += [(box_of(outcome, n), face.detection) for n, face in enumerate(outcome.faces)] or [(None, None)]
    rows = []
    for row, (box, detection) in zip(found.rows, where, strict=True):
        said = {**row, "box": box, "detection": detection, "refused_by": None}
        rows.append({**said, **{name: _finite(row[name]) for name in _NUMBERS}})
    return rows


def box_of(outcome: Outcome, face: int) -> dict[str, float]:
    """Where a face is."""
    return dict(zip(("x", "y", "width", "height"), outcome.faces[face].box, strict=True))


def refuse(rows: list[dict[str, Any]], by: str, which: Any) -> None:
    """Turn identified rows into refused ones, which open no door; the identity is still among the candidates."""
    for at in which:
        if rows[at]["decision"] == IDENTIFIED:
            rows[at].update(decision=REFUSED, identity=None, refused_by=by)


async def keep(service: Service, served: Served, request: Request, pictures: list[bytes], rows: list[dict[str, Any]]) -> None:
    """Keep pictures, if the service keeps any, each under everybody who was recognised in it, whom a challenge refused too."""
    if service.kept is None:
        return
    whose: dict[str, set[str]] = {}
    for row in rows:
        name = row["candidates"][0]["identity"] if row["decision"] == REFUSED else row["identity"]
        whose.setdefault(row["probe"], set()).update([] if name is None else [name])
    named = [(data, whose.get(f"picture:{number}", set())) for number, data in enumerate(pictures)]
    await run_in_threadpool(service.keep, served, request.state.request_id, named)


async def count(
    service: Service, served: Served, token: Token, request: Request, found: Found, rows: list[dict[str, Any]]
) -> None:
    """Count the decisions in the metrics, and record them as events."""
    for row in rows:
        service.numbers.decisions.labels(served.name, row["decision"]).inc()
    if found.used.fpir is not None:
        searched = sum(row["score"] is not None for row in rows)
        service.numbers.false_alarms.labels(served.name).inc(searched * found.used.fpir)
    if served.name in service.events:
        at, asked_by, request_id = now(), token.id or None, request.state.request_id
        columns = ("identity", "decision", "score", "threshold", "expected_false_alarms")
        events = [
            Event(at, "identify", **{name: row[name] for name in columns}, token=asked_by, request_id=request_id) for row in rows
        ]
        await run_in_threadpool(service.note, served, events)


def answer(served: Served, found: Found, rows: list[dict[str, Any]]) -> Response:
    """`models.Identified`."""
    said = {"gallery": served.name, "threshold": threshold_said(found.used), "results": rows}
    return Response(to_json(said), media_type="application/json")


def threshold_said(used: ThresholdUsed) -> dict[str, Any]:
    """`models.Threshold`."""
    return {"score": used.score, "fpir": used.fpir, "says": str(used)}


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
