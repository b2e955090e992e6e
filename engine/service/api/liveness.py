"""The challenge of a door: what to do before the camera, and whether it was done."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from engine.calibration.thresholds import accepts
from engine.embedding.outcome import of_quality
from engine.errors import ImageProblem
from engine.faces.alignment import largest_landmarks
from engine.faces.images import ImageBytes, decode
from engine.service.access.signing import read_signed, signed
from engine.service.api.asked import ERRORS, AtDoor, Service, TheGallery, TheService, enrolled
from engine.service.api.bodies import PICTURES, pictures_of
from engine.service.api.errors import Refused
from engine.service.api.identify import CHALLENGE, PAD, Fmr, Fpir, answer, compared, count, keep, refuse, rows_of
from engine.service.api.models import Challenge, Identified, Verified
from engine.service.galleries import Served
from engine.service.liveness.pad import refused_by_pad
from engine.service.liveness.turn import LEAST, SECONDS, chosen, failed, turn_of
from engine.service.recognition import Question
from engine.templates.quality import LEAST as LEAST_QUALITY

router = APIRouter(prefix="/v1/galleries/{gallery}", responses=ERRORS, tags=["liveness"])


@router.post("/challenges", response_model=Challenge, summary="Be told where to look")
def challenge(service: TheService, token: AtDoor, served: TheGallery) -> dict[str, Any]:  # noqa: ARG001 - who may
    """Good once, for some seconds."""
    _require(service)
    turns, until = chosen(), time.time() + SECONDS
    said = {"gallery": served.name, "turns": turns, "until": until, "once": uuid4().hex}
    return {
        "challenge": signed(service.settings.secret, "challenge", said),
        "turns": turns,
        "seconds": SECONDS,
        "warning": service.settings.warning,
    }


@router.post(
    "/challenges/answer",
    response_model=Identified | Verified,
    openapi_extra=PICTURES,
    summary="Who is it, or is it who it is said to be, and did they turn their head as asked?",
)
async def answered(
    request: Request,
    service: TheService,
    token: AtDoor,
    served: TheGallery,
    challenge: str = Query(max_length=1000),
    identity: Annotated[
        str | None, Query(max_length=500, description="Whom it is said to be: compares with them alone, as verify does.")
    ] = None,
    fpir: Fpir = None,
    top: Annotated[int | None, Query(ge=1, le=50, description="How many candidates to list. By default 5.")] = None,
    fmr: Fmr = None,
) -> Response | Verified:
    """Pictures in the order taken, the first from the front: who that is; `refused` unless all show one who turned as asked.

    With `identity` it is a comparison, which takes `fmr`; else a search, which takes `fpir` and `top`.
    """
    _require(service)
    name = None if identity is None else enrolled(served, identity)
    _require_fit(name, fpir=fpir, top=top, fmr=fmr)
    said = _asked(service, served, challenge)
    pictures = await pictures_of(request, service.settings.pictures)
    recognition = service.recognition
    embedder = recognition.embedder(served, None)
    outcomes = await recognition.embedded(embedder, pictures)
    if name is not None:
        outcomes[0] = of_quality(LEAST_QUALITY)(outcomes[0])
    _spend(service, said)
    why = await run_in_threadpool(_why_not, service, served, said["turns"], pictures, [each.vectors for each in outcomes])
    if name is not None:
        if outcomes[0].problem is not None:
            raise Refused(422, "image_problem", f"{outcomes[0].problem}, so there is nothing to compare")
        shown = pictures[0], outcomes[0]
        return await compared(request, service, token, served, name, *shown, fmr=fmr, threshold=None, why_not=why)
    found = await recognition.identified(Question(served, fpir, None, top or 5), outcomes[:1], embedder)
    rows = rows_of(found, outcomes[:1])
    if why is not None:
        refuse(rows, CHALLENGE, [0])
        rows[0]["reasons"] = rows[0]["reasons"] or why
    elif service.pad is not None:
        refuse(rows, PAD, await run_in_threadpool(refused_by_pad, service.pad, service.settings.megapixels, pictures[:1], rows))
    await keep(service, served, request, pictures[:1], rows)
    await count(service, served, token, request, found, rows)
    return answer(served, found, rows)


def _require_fit(name: str | None, **given: float | None) -> None:
    """Refuse what goes with the other of a comparison and a search."""
    wrong = ("fpir", "top") if name is not None else ("fmr",)
    if found := [each for each in wrong if given[each] is not None]:
        goes = "goes with a search, and identity asks for a comparison" if name is not None else "goes with identity"
        raise Refused(422, "invalid", f"query.{found[0]}: it {goes}")


def _require(service: Service) -> None:
    if service.settings.challenge is None:
        raise Refused(404, "no_challenge", "this service asks for none; start it with --challenge turn")


def _asked(service: Service, served: Served, challenge: str) -> dict[str, Any]:
    """What a challenge asked for.

    Raises:
        Refused: it is none of ours, of another gallery, or too old.
    """
    said = read_signed(service.settings.secret, "challenge", challenge)
    if said is None or said["gallery"] != served.name:
        raise Refused(400, "challenge", "this challenge is not of this service and gallery; ask for one")
    if time.time() > said["until"]:
        raise Refused(400, "challenge", f"the challenge is over: it is good for {SECONDS:g} seconds; ask for another")
    return said


def _spend(service: Service, said: dict[str, Any]) -> None:
    """Let a challenge be answered this once. A service that is too busy to look at the pictures has not got as far as this.

    Raises:
        Refused: it was answered already.
    """
    folder = Path(service.settings.state)
    for spent in folder.glob("spent-*"):
        with suppress(OSError):
            if spent.stat().st_mtime < time.time() - 10 * SECONDS:
                spent.unlink()
    try:
        os.close(os.open(folder / f"spent-{said['once']}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise Refused(400, "challenge", "the challenge was answered already; ask for another") from None


def _why_not(service: Service, served: Served, asked: list[str], pictures: list[bytes], vectors: list[np.ndarray]) -> str | None:
    """Why pictures are no answer to a challenge; None where they are."""
    if len(pictures) < LEAST:
        return failed([0.0] * len(pictures), asked)
    if not all(len(each) for each in vectors):
        return "a picture shows no face; stay before the camera, and turn less far"
    templates = np.concatenate(vectors)
    distances = np.linalg.norm(templates - templates[0], axis=1)
    if not accepts(distances, served.gallery.match_threshold().distance).all():
        return "the pictures do not show one person throughout"
    turns = []
    for picture in pictures:
        try:
            points = largest_landmarks(decode(ImageBytes(picture, service.settings.megapixels)))
        except ImageProblem as problem:
            return str(problem)
        if points is None:
            return "a picture shows no face; stay before the camera, and turn less far"
        turns.append(turn_of(points))
    return failed(turns, asked)
