"""What was known of faces before they are grouped: their groups, names and corrections so far."""

from dataclasses import dataclass

import numpy as np

from engine.grouping.faces import Faces
from engine.grouping.groups import REJECTED, Groups


@dataclass(frozen=True)
class EarlierGroups:
    """What was known of the faces: for each its group (0: none), name, corrections and bound number; who is apart."""

    groups: np.ndarray
    names: list[str | None]
    corrected: list[str | None]
    bound: np.ndarray
    apart: tuple[tuple[str, str], ...]
    same_photo: bool
    last: int

    @classmethod
    def nothing(cls, faces: Faces, apart: tuple[tuple[str, str], ...], same_photo: bool) -> "EarlierGroups":
        none = np.zeros(len(faces), np.int64)
        return cls(none, [None] * len(faces), [None] * len(faces), none - 1, apart, same_photo, 0)

    @classmethod
    def of(cls, groups: Groups, faces: Faces) -> "EarlierGroups":
        table = faces.templates.table
        return cls(
            table["group"].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64),
            table["identity"].to_pylist(),
            table["corrected"].to_pylist(),
            table["bound"].combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64),
            groups.apart,
            groups.same_photo,
            groups.last,
        )

    @property
    def rejected(self) -> np.ndarray:
        return np.array([REJECTED in (said or "") for said in self.corrected], bool)

    def owners(self) -> np.ndarray:
        """A number for each name, -1 for faces of unnamed groups: people of different names are different."""
        numbers = {name: at for at, name in enumerate(sorted({name for name in self.names if name}))}
        return np.array([numbers[name] if name else -1 for name in self.names], np.int64)
