"""What galleries hold, what is known of strangers there, and whether they are whole; what happened at their doors."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from fastapi.encoders import jsonable_encoder
from pydantic import Field

from engine.calibration.evidence import Evidence
from engine.calibration.thresholds import default_threshold, identify_threshold
from engine.errors import GalleryError
from engine.service.access.signing import read_signed, signed
from engine.service.api import models
from engine.service.api.asked import ERRORS, AsAdmin, AtDesk, AtDoor, TheGallery, TheService
from engine.service.api.errors import Refused
from engine.service.api.identify import threshold_said

router = APIRouter(prefix="/v1", responses=ERRORS, tags=["galleries"])
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
Rate = Annotated[float, Field(gt=0, lt=1)]
# Points of the curve, from a tenth of a false alarm in a thousand searches to one in each.
_CURVE = np.geomspace(1e-4, 0.6, 40)


@router.get("/settings", response_model=models.Settings, summary="What this service is")
def settings(service: TheService, token: AtDoor) -> dict[str, Any]:
    """What the page needs to know, and what whoever asks may."""
    return {"version": version("onek"), "role": token.role, **service.settings.public()}


@router.get("/galleries", response_model=models.Galleries, summary="The galleries of this service")
def galleries(service: TheService, token: AtDoor) -> dict[str, Any]:  # noqa: ARG001 - who may
    """By name."""
    listed = []
    for served in service.galleries:
        seen = served.gallery.snapshot()
        listed.append(
            {
                "name": served.name,
                "identities": seen.identity_count,
                "templates": seen.template_count,
                "trouble": served.trouble and service.named(served.trouble),
            }
        )
    return {"galleries": listed}


@router.get("/galleries/{gallery}", response_model=models.GalleryShown, summary="What a gallery holds")
def shown(service: TheService, token: AtDesk, served: TheGallery) -> dict[str, Any]:  # noqa: ARG001
    """How many are enrolled, how templates are made and searched, what is known of strangers, what awaits erasure."""
    used = default_threshold(served.gallery.evidence)
    info = jsonable_encoder(asdict(served.gallery.info()))
    info.pop("path", None)
    said = None if used is None else threshold_said(used)
    return {
        "name": served.name,
        "trouble": served.trouble and service.named(served.trouble),
        "default_threshold": said,
        "info": info,
    }


@router.get("/galleries/{gallery}/thresholds", response_model=models.Thresholds, summary="Thresholds by rate")
def thresholds(
    service: TheService,  # noqa: ARG001
    token: AtDoor,  # noqa: ARG001
    served: TheGallery,
    fpir: Annotated[list[Rate] | None, Query(max_length=20, description="Rates; by default 0.1 % to 10 %.")] = None,
) -> dict[str, Any]:
    """The threshold of each rate, with its evidence, and the false alarms to expect at each score."""
    evidence = served.gallery.evidence
    return {
        "gallery": served.name,
        "rates": [_rate(evidence, rate) for rate in fpir or RATES],
        "curve": _curve(evidence),
    }


@router.post("/galleries/{gallery}/check", response_model=models.Checked, summary="Is the gallery whole?")
def check(service: TheService, token: AsAdmin, served: TheGallery) -> dict[str, Any]:  # noqa: ARG001
    """Look at every byte of it, while others read and write."""
    faults = [{"says": f"{getattr(fault.file, 'name', fault.file)}: {fault.what}"} for fault in served.gallery.check()]
    return {"gallery": served.name, "faults": faults}


@router.get("/galleries/{gallery}/events", response_model=models.EventsPage, summary="What happened")
def events(
    service: TheService,
    token: AtDesk,  # noqa: ARG001
    served: TheGallery,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=4000)] = None,
) -> dict[str, Any]:
    """Who was let in, when, with what score: the newest first."""
    if (kept := service.events.get(served.name)) is None:
        raise Refused(404, "no_events", "no events are kept; start the service with --events DAYS")
    before = None
    if cursor is not None:
        said = read_signed(service.settings.secret, "events", cursor)
        if said is None or said["gallery"] != served.name:
            raise Refused(400, "cursor", "this cursor is not of this service and gallery; begin without one")
        before = said["before"]
    found, last = kept.recent(limit, before)
    following = None if last is None else signed(service.settings.secret, "events", {"gallery": served.name, "before": last})
    return {"events": [asdict(event) for event in found], "kept_days": kept.days, "next": following}


def _rate(evidence: Evidence, rate: float) -> dict[str, Any]:
    try:
        used = identify_threshold(None, rate, evidence)
    except GalleryError as error:
        return {"fpir": rate, "threshold": None, "problem": str(error)}
    return {"fpir": rate, "threshold": threshold_said(used), "problem": None}


def _curve(evidence: Evidence) -> list[dict[str, float]]:
    """From the score of the smallest supported rate to that of the largest."""
    scores = []
    for rate in _CURVE:
        try:
            scores.append(evidence.score_at(float(rate)))
        except GalleryError:
            continue
    levels = np.unique(np.array(scores))
    expected = evidence.expected_false_alarms(levels) if len(levels) else None
    if expected is None:
        return []
    points = zip(levels.tolist(), expected.tolist(), strict=True)
    return [{"score": score, "expected_false_alarms": number} for score, number in points if number >= _CURVE[0] / 10]
