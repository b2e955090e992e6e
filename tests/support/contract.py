"""The people that every kind of gallery is asked about."""

import numpy as np

from engine.templates.model import Templates
from engine.templates.provenance import Provenance

DIM, PEOPLE = 24, 70


MADE = Provenance(encoder="pixels", fingerprint="f" * 64, dim=DIM, threshold=0.4)


# Names that a filter, a format or a shell might trip over.
STRANGE = ['Zoë "Q" O\'Neil', "back\\slash", "a  b", "雪", "{x} in [y]", "%_", "person > 1"]


def people(first: int, count: int, images: int = 2, spread: float = 0.05, seed: int = 5) -> Templates:
    """Templates of people `first` to `first + count`, the same for the same seed."""
    centres = np.random.default_rng(seed).normal(size=(400, DIM))
    noise = np.random.default_rng([seed, first]).normal(size=(count, images, DIM))
    vectors = (centres[first : first + count, None] + spread * noise * 5).reshape(-1, DIM)
    names = [name_of(person) for person in range(first, first + count) for _ in range(images)]
    ids = [f"{name}#{at % images}" for at, name in enumerate(names)]
    return Templates.from_vectors(vectors, names, ids, MADE)


def name_of(person: int) -> str:
    return STRANGE[person] if person < len(STRANGE) else f"person {person:03}"


def probes(seed: int = 9) -> np.ndarray:
    """Of 60 who are enrolled at first, 60 who are not, and some who join later."""
    return people(0, 60, 1, seed=5).vectors + 0.02 * np.random.default_rng(seed).normal(size=(60, DIM)).astype(np.float32)


def strangers() -> np.ndarray:
    return people(200, 120, 1).vectors
