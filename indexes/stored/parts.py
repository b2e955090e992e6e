"""An index as plain data: its parts, nested as FAISS's indexes are, and the arrays of each, checked when they are read."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from indexes.errors import IndexFileError

# A part's name, followed by the layouts of the parts inside it; it can be kept as JSON.
Layout = list[Any]

# The largest value in centroids, rotations and the like: far more than unit vectors lead to, and too small to overflow.
_LARGEST = 1e6
# How deeply parts may be nested; ours are nested three deep.
DEEPEST = 6


@dataclass(frozen=True)
class Part:
    """One part of an index: the `name` of its FAISS type, its own `arrays`, and the parts `inside` it."""

    name: str
    arrays: dict[str, np.ndarray]
    inside: tuple["Part", ...] = ()

    @property
    def layout(self) -> Layout:
        """Its layout: its name and the layouts of the parts inside."""
        return [self.name, *(part.layout for part in self.inside)]

    def array(self, name: str, dtype: str, *shape: int | None) -> np.ndarray:
        """One of its arrays, of this type and shape; a dimension given as None may have any length above 0.

        Raises:
            IndexFileError: there is no such array, or it has another type or shape (names both).
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
        """As `array`, of float32 values that are finite and not too large to calculate with."""
        return self.reasonable(name, self.array(name, "<f4", *shape))

    def reasonable(self, name: str, values: np.ndarray) -> np.ndarray:
        """The float32 `values` of an array, if they are finite and not too large to calculate with.

        Raises:
            IndexFileError: some are not.
        """
        if values.size and not max(abs(values.min()), abs(values.max())) <= _LARGEST:  # nor with NaN
            raise IndexFileError(f"{name} of {self.name} holds values that are not finite, or above {_LARGEST:g}")
        return values

    def number(self, name: str, least: int, most: int) -> int:
        """The int32 that an array holds alone. Raises `IndexFileError` where it is not between `least` and `most`."""
        number = int(self.array(name, "<i4", 1)[0])
        if not least <= number <= most:
            raise IndexFileError(f"{name} of {self.name} is {number}, expected {least} to {most}")
        return number


def number(value: int) -> np.ndarray:
    """A number as an array that `Part.number` reads."""
    return np.array([value], np.int32)


def flattened(part: Part, at: str = "") -> dict[str, np.ndarray]:
    """The arrays of a part and of all inside it, under names that say which part has them: `codes`, `0.codes`, `0.1.codes`."""
    arrays = {f"{at}{name}": array for name, array in part.arrays.items()}
    for place, inner in enumerate(part.inside):
        arrays |= flattened(inner, f"{at}{place}.")
    return arrays


def assembled(layout: Any, arrays: dict[str, np.ndarray], at: str = "", depth: int = 0) -> Part:
    """The part that has this layout, and the arrays that `flattened` returned for it.

    Raises:
        IndexFileError: the layout is not one.
    """
    if not isinstance(layout, list) or not layout or not isinstance(layout[0], str) or depth > DEEPEST:
        raise IndexFileError("its layout is none: expected the names of parts in one another")
    own = {name[len(at) :]: array for name, array in arrays.items() if name.startswith(at) and "." not in name[len(at) :]}
    inside = [assembled(inner, arrays, f"{at}{place}.", depth + 1) for place, inner in enumerate(layout[1:])]
    return Part(layout[0], own, tuple(inside))
