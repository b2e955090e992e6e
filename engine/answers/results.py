"""What an identification says: one row per probe face, in the order given, failures included."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pyarrow as pa

from engine.calibration.thresholds import FAILED, IDENTIFIED, UNKNOWN, accepts
from engine.common.late import pc
from engine.matching.scoring import Candidates
from engine.tables.frames import Tabular
from engine.templates.problems import ALL_SEEN, Problem, Unseen

_CANDIDATE = pa.struct(
    [
        ("identity", pa.string()),
        ("template_id", pa.string()),
        ("distance", pa.float32()),
        ("score", pa.float32()),
        ("quality", pa.float32()),
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("probe", pa.string(), nullable=False),
        pa.field("face", pa.int32()),
        pa.field("box", pa.list_(pa.float32(), 4)),
        pa.field("decision", pa.string(), nullable=False),
        pa.field("identity", pa.string()),
        pa.field("distance", pa.float32()),
        pa.field("score", pa.float32()),
        pa.field("threshold", pa.float32(), nullable=False),
        pa.field("expected_false_alarms", pa.float32()),
        pa.field("quality", pa.float32()),
        pa.field("reasons", pa.string()),
        pa.field("candidates", pa.list_(_CANDIDATE)),
    ]
)


@dataclass(frozen=True)
class Candidate:
    """An enrolled identity that a search returned, the template that is nearest, its distance, its score, and what the template
    is worth: the share of ordinary photographs that are worse, None where nobody knows.
    """

    identity: str
    template_id: str
    distance: float
    score: float
    quality: float | None = None


@dataclass(frozen=True)
class Result:
    """What was decided of one probe face.

    `box` is the face's place in the photograph: x, y, width and height in pixels; None of a failed probe, of a face crop, and of
    vectors from elsewhere.
    `decision` is `identified`, `unknown` or `failed`; `identity` is None unless identified. `distance` and `score` are those of
    the first candidate, small is alike; a failed probe has neither. `expected_false_alarms` says how many of the enrolled a
    stranger would be expected to match at least this well; None where the gallery is not calibrated. `quality`: the share of
    ordinary photographs that are worse than the probe's, None where nobody knows. `reasons`: of a failed probe why, of one of
    little quality what is wrong with it.
    """

    probe: str
    face: int | None
    box: tuple[float, float, float, float] | None
    decision: str
    identity: str | None
    distance: float | None
    score: float | None
    threshold: float
    expected_false_alarms: float | None
    quality: float | None
    reasons: str | None
    candidates: tuple[Candidate, ...]

    def __repr__(self) -> str:
        face = f", face {self.face}" if self.face else ""
        who = f" as {self.identity!r}" if self.identity is not None else ""
        near = f", distance {self.distance:.4g}" if self.distance is not None else f": {self.reasons}" if self.reasons else ""
        return f"<Result {self.probe!r}{face}: {self.decision}{who}{near}>"


@dataclass(frozen=True)
class DecisionCounts:
    """How many probe faces were decided which way."""

    identified: int = 0
    unknown: int = 0
    failed: int = 0

    def __str__(self) -> str:
        faces = "1 probe face" if self.probes == 1 else f"{self.probes:,} probe faces"
        return f"{faces}: {self.identified:,} identified, {self.unknown:,} unknown, {self.failed:,} failed"

    def __add__(self, other: "DecisionCounts") -> "DecisionCounts":
        return DecisionCounts(self.identified + other.identified, self.unknown + other.unknown, self.failed + other.failed)

    @property
    def probes(self) -> int:
        """All of them."""
        return self.identified + self.unknown + self.failed


class Results(Tabular, Sequence[Result]):
    """Results as a sequence of `Result`, backed by an Arrow `table` of `SCHEMA`. `unseen`: faces of the probes that were not
    looked at.
    """

    _shown = ("probe", "face", "decision", "identity", "distance", "expected_false_alarms", "reasons")
    _photographs = "probe"

    def __init__(self, table: pa.Table, unseen: Unseen = ALL_SEEN) -> None:
        self.table = table
        self.unseen = unseen

    def __repr__(self) -> str:
        return f"<Results: {self.counts}>"

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> "Results": ...
    def __getitem__(self, index: int | slice) -> "Result | Results":
        if isinstance(index, slice):
            return Results(self.table.take(list(range(*index.indices(len(self))))))
        at = range(len(self))[index]
        return _result(self.table.slice(at, 1).to_pylist()[0])

    def __iter__(self) -> Iterator[Result]:
        for part in self.table.to_batches(max_chunksize=1024):
            yield from map(_result, part.to_pylist())

    @property
    def counts(self) -> DecisionCounts:
        """How many were decided which way."""
        decisions = self.table["decision"]
        return DecisionCounts(*(pc.sum(pc.equal(decisions, name)).as_py() or 0 for name in (IDENTIFIED, UNKNOWN, FAILED)))


def make_results(
    probes: pa.Array,
    faces: pa.Array,
    boxes: pa.Array,
    threshold: float,
    candidates: Candidates,
    identities: pa.Array,
    template_ids: pa.Array,
    expected_false_alarms: np.ndarray | None,
    quality: pa.ChunkedArray,
    reasons: pa.ChunkedArray,
    candidate_quality: np.ndarray,
) -> pa.Table:
    """A table of `SCHEMA` for n probes that were searched.

    Args:
        probes: names (n,).
        faces: which face in the picture (n,), or nulls.
        boxes: x, y, width and height of each, in pixels (n,), or nulls.
        threshold: the one used.
        candidates: t of each probe, likeliest first.
        identities: of the candidates (n * t,), a probe's behind each other.
        template_ids: of the candidates (n * t,).
        expected_false_alarms: float32 (n,), or None where nothing was calibrated.
        quality: of the probes (n,), or nulls.
        reasons: of the probes (n,), or nulls.
        candidate_quality: of the candidates (n, t), NaN where nobody knows.
    """
    count, each = candidates.rows.shape
    accepted = accepts(candidates.scores[:, 0], threshold)
    first = pa.array(np.arange(count) * each)
    distances, scores = (pa.array(values.ravel(), pa.float32()) for values in (candidates.distances, candidates.scores))
    worth = pa.array(candidate_quality.ravel(), pa.float32(), from_pandas=True)
    listed = pa.StructArray.from_arrays([identities, template_ids, distances, scores, worth], fields=list(_CANDIDATE))
    columns = [
        probes,
        faces.cast(pa.int32()),
        boxes,
        pa.array(np.where(accepted, IDENTIFIED, UNKNOWN).tolist(), pa.string()),
        pc.if_else(pa.array(accepted, pa.bool_()), identities.take(first), pa.scalar(None, pa.string())),
        pa.array(candidates.distances[:, 0], pa.float32()),
        pa.array(candidates.scores[:, 0], pa.float32()),
        pa.array(np.full(count, threshold, np.float32)),
        pa.nulls(count, pa.float32()) if expected_false_alarms is None else pa.array(expected_false_alarms, pa.float32()),
        quality,
        reasons,
        pa.ListArray.from_arrays(pa.array(np.arange(count + 1) * each, pa.int32()), listed),
    ]
    return pa.table(columns, schema=SCHEMA)


def failed_result(probe: str, threshold: float, reason: str | None) -> pa.Table:
    """The row of a probe of which no template could be made, and why."""
    row = {"probe": probe, "decision": FAILED, "threshold": threshold, "reasons": reason, "candidates": []}
    return pa.Table.from_pylist([row], schema=SCHEMA)


def refused_results(probes: pa.Table, names: pa.ChunkedArray, threshold: float, reasons: Sequence[str]) -> pa.Table:
    """The rows of probes that were not searched for, since they are below the gate: templates (n,), their names, and why."""
    count = len(probes)
    rows = {
        "probe": names,
        "face": probes["face"],
        "box": probes["box"],
        "decision": pa.array([FAILED] * count, pa.string()),
        "threshold": pa.array(np.full(count, threshold, np.float32)),
        "quality": probes["quality"],
        "reasons": pa.array(reasons, pa.string()),
        "candidates": pa.array([[]] * count, SCHEMA.field("candidates").type),
    }
    columns = [rows[field.name] if field.name in rows else pa.nulls(count, field.type) for field in SCHEMA]
    return pa.table(columns, schema=SCHEMA)


def problems_in(table: pa.Table) -> list[Problem]:
    """Why probes failed, in order."""
    failed = table.filter(pc.equal(table["decision"], FAILED))
    faces = zip(failed["probe"].to_pylist(), failed["face"].to_pylist(), failed["reasons"].to_pylist(), strict=True)
    return [Problem(probe, f"face {face}: {reason}" if face else str(reason)) for probe, face, reason in faces]


def _result(row: dict[str, Any]) -> Result:
    box = row["box"] and tuple(row["box"])
    return Result(**{**row, "box": box, "candidates": tuple(Candidate(**candidate) for candidate in row["candidates"])})
