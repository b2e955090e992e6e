"""People of an encoder whose impostors are known: synthetic ones, fitted to templates of `sface`."""

from functools import cache

import numpy as np

from benchmarks.data.synthetic_templates import Population, Shape
from engine.faces.chip import ALIGNMENT
from engine.templates.model import Templates
from engine.templates.provenance import Provenance

SFACE = Provenance("sface", "5f" * 32, 128, False, ALIGNMENT, None, 1.146)
# Numbers of people from which on nobody is ever enrolled: those that tables are made of, and strangers.
TABLE, STRANGERS, ALL = 30_000, 34_000, 65_536


@cache
def _block(image: int) -> np.ndarray:
    return Population(Shape.load()).templates(0, ALL, image)


def people(first: int, count: int, image: int = 0) -> np.ndarray:
    """The `image`-th template of `count` people from number `first` on, up to 65,536 of them: float32 (count, 128)."""
    return _block(image)[first : first + count]


def strangers(number: int, count: int = 2000) -> np.ndarray:
    """The `number`-th sample of `count` people who are never enrolled, and who come again after 15 samples."""
    return people(STRANGERS + (number * count) % 30_000, count)


def made_by_sface(vectors: np.ndarray, first: int = 0) -> Templates:
    """Templates (n, d) as `onek embed` would have made them, one each of the identities from number `first` on."""
    names = [f"id{first + row}" for row in range(len(vectors))]
    return Templates.from_vectors(vectors, names, [f"{name}:0" for name in names], SFACE)
