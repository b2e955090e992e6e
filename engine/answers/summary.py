"""What is said of a gallery to people and scripts, wherever it lies."""

from typing import Any, ClassVar, Protocol, TypedDict

from engine.answers.snapshot import Snapshot
from engine.calibration.summary import CalibrationInfo, describe_calibration
from engine.calibration.thresholds import ThresholdUsed, default_threshold


class Facts(TypedDict):
    """What is known of every gallery. `threshold` is the encoder's, a distance of 1:1; `decides` the default threshold of an
    identification, None where too little is known of strangers.
    """

    identities: int
    templates: int
    dim: int
    encoder: str | None
    fingerprint: str | None
    flip: bool
    alignment: str | None
    threshold: float | None
    runtime: str | None
    score: str
    fuse: int
    calibration: CalibrationInfo | None
    decides: ThresholdUsed | None


def facts_of(seen: Snapshot) -> Facts:
    """What a snapshot says of its gallery."""
    made, scoring, evidence = seen.provenance, seen.scoring, seen.evidence
    return Facts(
        identities=seen.identity_count,
        templates=seen.template_count,
        dim=made.dim,
        encoder=made.encoder,
        fingerprint=made.fingerprint,
        flip=made.flip,
        alignment=made.alignment,
        threshold=made.threshold,
        runtime=made.runtime,
        score=scoring.score,
        fuse=scoring.fuse,
        calibration=describe_calibration(evidence),
        decides=default_threshold(evidence),
    )


class Info(Protocol):
    """A frozen dataclass that says what a gallery holds: its `Facts`, where it lies, its index, and more of its place's own."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def path(self) -> str:
        """Where it lies."""

    @property
    def created(self) -> str:
        """When it was built, a UTC time in ISO 8601."""

    @property
    def identities(self) -> int:
        """K."""

    @property
    def templates(self) -> int:
        """How many are enrolled."""

    @property
    def dim(self) -> int:
        """How many numbers a template has."""

    @property
    def index(self) -> str:
        """The kind of index."""

    @property
    def exact(self) -> bool:
        """Whether the index is exact."""

    @property
    def score(self) -> str:
        """`plain` or `local`."""

    @property
    def calibration(self) -> CalibrationInfo | None:
        """What it knows of strangers."""

    @property
    def decides(self) -> ThresholdUsed | None:
        """The default threshold of an identification."""
