"""Templates of people that galleries are made of, and what two galleries say of them."""

import numpy as np

from engine.gallery.gallery import Gallery
from engine.templates.model import Templates


def people(first: int, last: int, each: int = 2, prefix: str = "id", noise: int = 0, dim: int = 16) -> Templates:
    """Templates of the identities `first` to `last`, always the same ones."""
    vectors, names, ids = [], [], []
    for number in range(first, last):
        random = np.random.default_rng(number)
        centre = random.normal(size=dim)
        for copy in range(each):
            vectors.append(centre + 0.1 * np.random.default_rng([number, copy, noise]).normal(size=dim))
            names.append(f"{prefix}{number}")
            ids.append(f"{prefix}{number}#{copy}")
    return Templates.from_vectors(np.array(vectors), names, ids)


def names(gallery: Gallery, first: int, last: int) -> list[str | None]:
    """Who the gallery takes new templates of these identities for."""
    probes = people(first, last, each=1, noise=1)
    return [
        result.identity for result in gallery.identify(probes, threshold=0.6 if "plain" in str(gallery.info().score) else 0.5)
    ]


def same_answers(one: Gallery, other: Gallery, score: bool = True) -> None:
    probes = people(0, 60, each=1, noise=2)
    ours, theirs = (gallery.identify(probes, threshold=0.5).table for gallery in (one, other))
    assert ours["identity"].to_pylist() == theirs["identity"].to_pylist()
    for column in ("distance", "score") if score else ("distance",):
        np.testing.assert_allclose(ours[column].to_numpy(), theirs[column].to_numpy(), atol=1e-5)
