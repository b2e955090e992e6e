"""What a catalogue says of its gallery."""

from dataclasses import dataclass, field

import numpy as np

from engine.calibration.calibration import Calibration
from engine.matching.scoring import Scoring
from engine.storage.catalogue.schema import FORMAT
from engine.storage.recent_rows import Recent
from engine.templates.provenance import Provenance
from indexes.planner import RECALL


@dataclass(frozen=True)
class Segment:
    """A sealed part of a gallery, whose files never change: its base, or the tail behind it.

    `NAME.parquet` has the rows, `NAME.vectors.npy` the vectors once more, to be memory-mapped, `NAME.index` the index of `kind`.
    `operating` is the index's operating point as JSON, None where it is exact. `NAME.density.npy` has what the local score
    needs of each template; there is none where scores are plain. `NAME.labels` has whose the rows are once more, to be
    memory-mapped; there is none in a segment that an older onek sealed. Of a gallery of a former format the index is not read,
    and the rows are all that is where it is `rows_only`. Of a tail `NAME.index` has what the base's lists lack, and there is no
    `operating`: it is searched with the base, at the base's effort.
    """

    name: str
    kind: str
    templates: int
    rows_bytes: int
    rows_sha256: str
    vectors_bytes: int
    vectors_sha256: str
    index_bytes: int
    index_sha256: str
    operating: str | None
    density_bytes: int | None
    density_sha256: str | None
    labels_bytes: int | None = None
    labels_sha256: str | None = None

    @property
    def rows_only(self) -> bool:
        """Whether its vectors are those in its rows, and its index is made of them when it is opened."""
        return not self.vectors_sha256

    @property
    def indexed(self) -> bool:
        """Whether its index is read; where it is not, every vector is searched."""
        return bool(self.index_sha256)


@dataclass(frozen=True)
class BuildRequest:
    """What the user asked of `build-index`, for when segments are sealed anew; None where the choice was left to onek."""

    index: str | None = None
    factory: str | None = None
    recall: float = RECALL
    score: str | None = None
    fuse: int | None = None


@dataclass(frozen=True)
class Changes:
    """What happened since the last sealing.

    `version` grows with every change. `numbers` int64 (m,): of all recent templates; `recent`: those of them that were asked for.
    `removed` int64, ascending: sealed rows that are gone, those of the base first. `renamed`: what identities in the last segment
    are called now. `erasable`: recent templates that were removed, whose bytes may still be in the catalogue's files.
    `renamed_before`: what identities of the base are called in its tail; a name that one of them lost may be another's there.
    """

    version: int
    numbers: np.ndarray
    recent: Recent
    removed: np.ndarray
    renamed: dict[str, str]
    erasable: int
    renamed_before: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalogue:
    """What the catalogue holds. `created` is a UTC time in ISO 8601; `calibration` is None in galleries that are too small; `id`
    tells a gallery from one that took its place. `segments`: the base, and its tail if it has one. `measured`: the first rows,
    which the index was learnt from and densities were measured among; None: all.
    """

    provenance: Provenance
    created: str
    segments: tuple[Segment, ...]
    scoring: Scoring
    calibration: Calibration | None
    id: str = ""
    asked: BuildRequest = BuildRequest()
    changes: Changes | None = None
    format: int = FORMAT
    measured: int | None = None
