"""How one type of FAISS's indexes becomes a part, and a part that type again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from indexes.stored.parts import Part

# Makes the part inside that has this place, for so many vectors of so many dimensions.
Inside = Callable[[int, int, int], Any]


@dataclass(frozen=True)
class Form:
    """`take`: the arrays of an index. `make`: an index of a part, for so many vectors of so many dimensions; it raises
    `IndexFileError` where the part is not of these.

    `holds`: the members of an index that are indexes, and which parts each may be. `fits`: whether an index of the type is one
    that `make` makes.
    """

    take: Callable[[Any], dict[str, np.ndarray]]
    make: Callable[[Part, int, int, Inside], Any]
    holds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    fits: Callable[[Any], bool] = lambda _: True


def owning(whole: Any, *inside: Any) -> Any:
    """An index that frees those inside it when it goes."""
    for index in inside:
        index.this.disown()
    whole.own_fields = True
    return whole
