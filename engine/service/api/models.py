"""What answers look like, as the description at /v1/openapi.json says it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Box(BaseModel):
    """Where a face is, in pixels of the picture as it was sent, upright."""

    x: float
    y: float
    width: float
    height: float


class Candidate(BaseModel):
    """An enrolled identity that the search returned."""

    identity: str
    template_id: str
    distance: float
    score: float
    quality: float | None


class Row(BaseModel):
    """What was decided of one face, or of one vector."""

    probe: str = Field(description="`picture:0`, `picture:1`, ... or `vectors:0`, ..., in the order sent.")
    face: int | None = Field(description="Which face of the picture; null for vectors, and where none was found.")
    box: Box | None
    detection: float | None = Field(description="The detector's confidence, 0 to 1.")
    quality: float | None = Field(description="The share of ordinary photographs that are worse; null where nobody knows.")
    decision: Literal["identified", "unknown", "failed", "refused"]
    identity: str | None = Field(description="Null unless identified.")
    distance: float | None = Field(description="Euclidean, of unit vectors, 0 to 2; small is alike.")
    score: float | None = Field(description="What decides: accepted if and only if score <= threshold.")
    threshold: float
    expected_false_alarms: float | None = Field(
        description="How many of the enrolled a stranger would be expected to match at least this well; null where unknown."
    )
    candidates: list[Candidate]
    reasons: str | None = Field(
        description="Why there is no template (no face, a damaged file, too little quality), or what is wrong with a poor one."
    )
    refused_by: Literal["challenge", "pad"] | None = Field(description="What found that no living person stands there.")


class Threshold(BaseModel):
    """The largest score that is accepted, and from what it comes."""

    score: float
    fpir: float | None = Field(description="The share of strangers' searches that get a name.")
    says: str = Field(description="The same in one line, with the evidence.")


class Identified(BaseModel):
    """A row for each face, and one for each picture without any."""

    gallery: str
    threshold: Threshold
    results: list[Row]


class Verified(BaseModel):
    """Whether a picture shows who it is said to show: `same` if and only if `distance <= threshold`, and nothing refused."""

    identity: str
    same: bool
    distance: float
    threshold: float
    template_id: str
    says: str
    refused_by: Literal["challenge", "pad"] | None
    reasons: str | None = Field(description="Why the challenge refused it, or what it asks for.")


class Vectors(BaseModel):
    """Templates that were made elsewhere, by the gallery's own encoder."""

    vectors: list[list[float]]


class Enrolled(BaseModel):
    """What an enrolment did; it is durable."""

    identity: str
    template_id: str
    created: bool = Field(description="False where the very same template was enrolled already: nothing was written.")
    replaced: bool
    quality: float | None
    matches: list[dict[str, Any]] = Field(description="Whom else the gallery takes the face for: identity, score, distance.")
    templates: int = Field(description="How many the gallery has now.")


class Identity(BaseModel):
    """Somebody who is enrolled."""

    identity: str
    templates: int


class IdentityShown(Identity):
    """The same, with the ids of the templates."""

    template_ids: list[str]


class Identities(BaseModel):
    """A page of them, in the order of their names."""

    identities: list[Identity]
    next: str | None = Field(description="The cursor of the next page; null at the end.")


class Rename(BaseModel):
    """The new name. `merge` makes one identity of two."""

    model_config = ConfigDict(extra="forbid")
    identity: str = Field(max_length=500)
    merge: bool = False


class Renamed(BaseModel):
    """How many templates are called otherwise."""

    identity: str
    templates: int


class Removed(BaseModel):
    """What left. The bytes stay in the gallery's files until they are erased."""

    identity: str | None
    templates: int
    awaiting_erasure: int | None


class Receipt(BaseModel):
    """That somebody was erased: every file of the gallery was looked through, and no byte of the templates is left."""

    gallery: str
    identity: str
    templates: int
    template_ids: list[str]
    events: int
    pictures: int
    erased_at: str
    verified: bool


class Compacted(BaseModel):
    """What a gallery has now, and how many templates that awaited it were erased."""

    gallery: str
    templates: int
    erased: int


class GalleryName(BaseModel):
    """A gallery, and whether it answers."""

    name: str
    identities: int
    templates: int
    trouble: str | None = Field(description="Why it could not be looked at lately; it is asked as it was seen last.")


class Galleries(BaseModel):
    """Those of this service."""

    galleries: list[GalleryName]


class GalleryShown(BaseModel):
    """What a gallery holds: as `onek info --json` says it."""

    name: str
    trouble: str | None
    default_threshold: Threshold | None
    info: dict[str, Any]


class Rate(BaseModel):
    """A false-alarm rate, its threshold, and by what evidence."""

    fpir: float
    threshold: Threshold | None
    problem: str | None = Field(description="Why the gallery has no threshold for it.")


class CurvePoint(BaseModel):
    """How many of the enrolled a stranger is expected to match at a score."""

    score: float
    expected_false_alarms: float


class Thresholds(BaseModel):
    """Thresholds by rate, and the curve that they lie on."""

    gallery: str
    rates: list[Rate]
    curve: list[CurvePoint]


class Fault(BaseModel):
    """Something that is wrong with a gallery."""

    says: str


class Checked(BaseModel):
    """Everything that is wrong; nothing where all is well."""

    gallery: str
    faults: list[Fault]


class Event(BaseModel):
    """What happened."""

    at: str
    kind: str
    identity: str | None
    decision: str | None
    score: float | None
    threshold: float | None
    expected_false_alarms: float | None
    token: str | None
    request_id: str


class EventsPage(BaseModel):
    """The newest first."""

    events: list[Event]
    kept_days: int
    next: str | None


class Challenge(BaseModel):
    """What is to be done before the camera, and until when."""

    challenge: str = Field(description="To be sent back with the pictures.")
    turns: list[Literal["left", "right"]] = Field(description="Where to look, in this order, as the person sees it.")
    seconds: float
    warning: str


class Settings(BaseModel):
    """What the page needs to know."""

    version: str
    role: str
    warning: str
    challenge: str | None
    pad: bool
    events_days: int
    keep_days: int
    tokens: bool
    body: int
