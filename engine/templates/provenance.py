"""How templates were made: what has to agree before two of them may be compared."""

import json
from dataclasses import asdict, dataclass

from engine.common.dataclass_json import from_json, from_plain
from engine.errors import EncoderMismatch

_FORMAT = "2"
MOST_DIMENSIONS = 65_536
# What an encoder is shown: photographs, arrays with one axis, or with three.
PICTURE, SIGNAL, VOLUME = MODALITIES = ("picture", "signal", "volume")


@dataclass(frozen=True)
class Provenance:
    """`fingerprint` is the SHA-256 of weights and preprocessing; the rest says the same to people and to `load_encoder`.

    `projection` is the file of the linear map behind the encoder, if there is one; `runtime` what ran the network, in which
    version and precision.

    Vectors that somebody else made have a dimension and nothing more: `encoder` and `fingerprint` are None.
    """

    encoder: str | None
    fingerprint: str | None
    dim: int
    flip: bool = False
    alignment: str | None = None
    weights: str | None = None
    threshold: float | None = None
    projection: str | None = None
    runtime: str | None = None

    @property
    def modality(self) -> str:
        """What they were made of, one of `MODALITIES`, as the alignment begins with it where that is no picture."""
        first = (self.alignment or "").split(",")[0]
        return first if first in (SIGNAL, VOLUME) else PICTURE

    @classmethod
    def foreign(cls, dim: int) -> "Provenance":
        """Of vectors without a word on how they were made."""
        return cls(encoder=None, fingerprint=None, dim=dim)

    def __str__(self) -> str:
        if self.encoder is None:
            return f"an encoder that is not named ({self.dim} dimensions)"
        flip = "mirror average" if self.flip else "no mirror average"
        return f"{self.encoder} ({self.dim} dimensions, {flip}, {self.alignment}, fingerprint {(self.fingerprint or '')[:12]})"

    def to_metadata(self) -> dict[str, str]:
        """As Parquet file metadata."""
        return {
            "onek.format": _FORMAT,
            "onek.encoder": self.encoder or "",
            "onek.fingerprint": self.fingerprint or "",
            "onek.dim": str(self.dim),
            # An older onek knows neither of these, and reads what has none.
            "onek.provenance": json.dumps(
                {key: value for key, value in asdict(self).items() if key not in ("projection", "runtime") or value is not None},
                sort_keys=True,
            ),
        }

    @classmethod
    def from_json(cls, text: str) -> "Provenance":
        """Read back what `to_metadata` wrote under `onek.provenance`.

        Raises:
            ValueError: it is something else.
        """
        made = from_plain(cls, from_json(text))
        if not 0 < made.dim <= MOST_DIMENSIONS:
            raise ValueError(f"templates of {made.dim} dimensions; expected 1 to {MOST_DIMENSIONS}")
        return made


def require_same(ours: Provenance, theirs: Provenance, ours_is: str, theirs_is: str) -> None:
    """Refuse to compare templates that were made differently.

    Foreign vectors say nothing of their making, so only their dimension is compared.

    Raises:
        EncoderMismatch: dimension or fingerprint differ; names both.
    """
    if ours.dim != theirs.dim:
        raise EncoderMismatch(
            f"{ours_is} holds {ours.dim} dimensions, {theirs_is} {theirs.dim}: "
            f"{ours_is} was made by {ours}, {theirs_is} by {theirs}"
        )
    if ours.fingerprint and theirs.fingerprint and ours.fingerprint != theirs.fingerprint:
        raise EncoderMismatch(
            f"{ours_is} was made by {ours}, {theirs_is} by {theirs}; their distances mean nothing. Embed both the same way"
        )
