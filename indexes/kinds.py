"""The kinds of index, by name."""

from indexes.base import Index
from indexes.flat import Flat

KINDS: dict[str, type[Index]] = {Flat.kind: Flat}
