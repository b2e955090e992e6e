"""How an index of one FAISS type becomes a `Part`, and a `Part` such an index."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from indexes.stored.parts import Part

# Called as (place, count, dim): makes the inner index at that place, of `count` vectors with `dim` dimensions.
Inside = Callable[[int, int, int], Any]


@dataclass(frozen=True)
class Form:
    """One FAISS type of index. `take(index)` returns its arrays. `make(part, count, dim, inside)` returns an index of `count`
    vectors with `dim` dimensions; it raises `IndexFileError` where the part does not fit them.

    `holds`: the members of such an index that are indexes themselves, and the types that each may have. `fits(index)`: whether
    `make` can make such an index; not every setting of a type is supported.
    """

    take: Callable[[Any], dict[str, np.ndarray]]
    make: Callable[[Part, int, int, Inside], Any]
    holds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    fits: Callable[[Any], bool] = lambda _: True


def owning(whole: Any, *inside: Any) -> Any:
    """The index `whole`, which from now on owns and frees those inside it."""
    for index in inside:
        index.this.disown()
    whole.own_fields = True
    return whole
