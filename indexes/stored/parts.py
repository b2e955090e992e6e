"""An index as plain data: what its parts are called, how they lie in one another, and the arrays of each, checked when used."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from indexes.errors import IndexFileError

# A part's name, and then the layouts of the parts inside it; plain, so that it can be kept as JSON.
Layout = list[Any]

# What centroids, turns and the like may hold: far more than those of unit vectors do, and nothing that arithmetic overflows with.
_LARGEST = 1e6
# How deep parts may lie in one another; ours lie three deep.
DEEPEST = 6


@dataclass(frozen=True)
class Part:
    """One part of an index, called as its FAISS type, with its own `arrays` and the parts `inside`."""

    name: str
    arrays: dict[str, np.ndarray]
    inside: tuple["Part", ...] = ()

    @property
    def layout(self) -> Layout:
        """Its name and those of the parts inside."""
        return [self.name, *(part.layout for part in self.inside)]

    def array(self, name: str, dtype: str, *shape: int | None) -> np.ndarray:
        """One of its arrays, which has this type and shape; a dimension that is None may have any length above 0.

        Raises:
            IndexFileError: there is none, or it has another; names both.
        """
        if name not in self.arrays:
            raise IndexFileError(f"{self.name} lacks the array {name}")
        found = self.arrays[name]
        lengths = found.shape if len(found.shape) == len(shape) else ()
        fits = [length == wanted or (wanted is None and length > 0) for length, wanted in zip(lengths, shape, strict=False)]
        if found.dtype.str != dtype or len(fits) != len(shape) or not all(fits):
            wanted = tuple("any" if length is None else length for length in shape)
            raise IndexFileError(
                f"{name} of {self.name} is {found.dtype.str} of the shape {found.shape}, expected {dtype} of {wanted}"
            )
        return found

    def floats(self, name: str, *shape: int | None) -> np.ndarray:
        """As `array`, of finite float32 that are not too large to reckon with."""
        return self.reasonable(name, self.array(name, "<f4", *shape))

    def reasonable(self, name: str, values: np.ndarray) -> np.ndarray:
        """The `values` float32 of an array, which are finite and not too large to reckon with.

        Raises:
            IndexFileError: some are not.
        """
        if values.size and not max(abs(values.min()), abs(values.max())) <= _LARGEST:  # nor with NaN
            raise IndexFileError(f"{name} of {self.name} holds values that are not finite, or above {_LARGEST:g}")
        return values

    def number(self, name: str, least: int, most: int) -> int:
        """The one int32 of an array, which lies in this range. Raises `IndexFileError` where it does not."""
        number = int(self.array(name, "<i4", 1)[0])
        if not least <= number <= most:
            raise IndexFileError(f"{name} of {self.name} is {number}, expected {least} to {most}")
        return number


def number(value: int) -> np.ndarray:
    """A number as an array that `Part.number` reads."""
    return np.array([value], np.int32)


def flattened(part: Part, at: str = "") -> dict[str, np.ndarray]:
    """The arrays of a part and of all inside it, under names that say where they belong: `codes`, `0.codes`, `0.1.codes`."""
    arrays = {f"{at}{name}": array for name, array in part.arrays.items()}
    for place, inner in enumerate(part.inside):
        arrays |= flattened(inner, f"{at}{place}.")
    return arrays


def assembled(layout: Any, arrays: dict[str, np.ndarray], at: str = "", depth: int = 0) -> Part:
    """The part of a layout and of what `flattened` gave of it.

    Raises:
        IndexFileError: the layout is none.
    """
    if not isinstance(layout, list) or not layout or not isinstance(layout[0], str) or depth > DEEPEST:
        raise IndexFileError("its layout is none: expected the names of parts in one another")
    own = {name[len(at) :]: array for name, array in arrays.items() if name.startswith(at) and "." not in name[len(at) :]}
    inside = [assembled(inner, arrays, f"{at}{place}.", depth + 1) for place, inner in enumerate(layout[1:])]
    return Part(layout[0], own, tuple(inside))
