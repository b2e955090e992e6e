"""Realistic templates in any number, from a small table of numbers that was fitted to real ones.

An identity's centre lies in one of many groups of people who look alike, at a deviation whose length is drawn apart from its
direction; a template is the centre plus noise with the within-identity covariance; then it is normalised. How long its noise is
belongs to the identity: the photographs of some people are all alike, those of others are not. `benchmarks.data.template_fit`
measures all of that. The tables that come with onek describe `sface` and `dlib-resnet` on the 6,562 templates of LFW's
development split, in groups of ten people or more. They hold sums over people, nobody's template.

How what they make compares with people whom a table has not seen: `onek benchmark templates`, and docs/benchmarks.md.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from engine.errors import TemplatesError
from engine.files.atomic_files import whole_file

# Identities that one stream of random numbers makes: which templates an identity has does not depend on how many are asked for.
BLOCK = 1 << 14

_TABLES = {encoder: Path(__file__).with_name(f"synthetic_templates.{encoder}.npz") for encoder in ("sface", "dlib-resnet")}


@dataclass(frozen=True)
class Shape:
    """What templates of one `encoder` look like, all float32; G groups, d dimensions.

    `weights` (G,): the share of identities in each group. `means` (G, d): the middle of each group. `centre` (d, p): a factor F
    of the covariance F F' of identities inside their group. `centre_lengths`: quantiles, evenly spaced from 0 to 1, of the root
    mean square of a deviation in units of `centre`. `noise` (d, q), `noise_lengths`: the same for templates about their identity.
    """

    encoder: str
    weights: np.ndarray
    means: np.ndarray
    centre: np.ndarray
    centre_lengths: np.ndarray
    noise: np.ndarray
    noise_lengths: np.ndarray

    @property
    def dim(self) -> int:
        """Dimensions of a template."""
        return int(self.means.shape[1])

    def clusterless(self) -> "Shape":
        """The worst case for inverted lists: the same covariance of identities, and the same noise, but no groups at all."""
        weights = self.weights / self.weights.sum()
        middle = weights @ self.means
        between = (self.means - middle) * np.sqrt(weights)[:, None]
        lengths = np.mean(self.centre_lengths**2)
        values, axes = np.linalg.eigh(between.T @ between + lengths * self.centre @ self.centre.T)
        kept = values > 0
        factor = (axes[:, kept] * np.sqrt(values[kept])).astype(np.float32)
        return replace(
            self,
            weights=np.ones(1, np.float32),
            means=middle[None].astype(np.float32),
            centre=factor,
            centre_lengths=np.ones(2, np.float32),
        )

    def save(self, path: Path) -> None:
        """Write it as an `.npz`, in half precision."""
        arrays = {name: values.astype(np.float16) for name, values in asdict(self).items() if name != "encoder"}
        with whole_file(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, encoder=np.array(self.encoder), **arrays)

    @classmethod
    def of(cls, encoder: str) -> "Shape":
        """The table that comes with onek for an encoder.

        Raises:
            TemplatesError: there is none; names those that there are.
        """
        if encoder not in _TABLES:
            raise TemplatesError(f"no synthetic templates are like those of {encoder}; expected {' or '.join(_TABLES)}")
        return cls.load(_TABLES[encoder])

    @classmethod
    def load(cls, path: Path = _TABLES["sface"]) -> "Shape":
        """Read what `save` wrote; by default the table for the default encoder.

        Raises:
            TemplatesError: the file is missing or holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                names = [field.name for field in fields(cls) if field.name != "encoder"]
                return cls(str(archive["encoder"]), **{name: archive[name].astype(np.float32) for name in names})
        except (OSError, ValueError, KeyError) as error:
            raise TemplatesError(f"{path}: no table of a fit: {error}; make one with onek benchmark fit-templates") from error


@dataclass(frozen=True)
class Population:
    """Identities 0, 1, 2, ... without end, each with as many templates as are asked for; the same for the same seed."""

    shape: Shape
    seed: int = 0

    def templates(self, first: int, count: int, image: int = 0) -> np.ndarray:
        """The `image`-th template of `count` identities from number `first` on: float32 (count, d), of unit length."""
        return np.concatenate([*self.batches(first, count, image)])

    def batches(self, first: int, count: int, image: int = 0) -> Iterator[np.ndarray]:
        """As `templates`, in parts of at most `BLOCK` rows."""
        for block in range(first // BLOCK, -(-(first + count) // BLOCK)):
            start, stop = max(first - block * BLOCK, 0), min(first + count - block * BLOCK, BLOCK)
            yield self._block(block, image)[start:stop]

    def _block(self, block: int, image: int) -> np.ndarray:
        shape = self.shape
        random = np.random.default_rng((self.seed, block))
        edges = np.cumsum(shape.weights, dtype=np.float64)
        groups = np.searchsorted(edges / edges[-1], random.random(BLOCK))
        vectors = shape.means[np.minimum(groups, len(edges) - 1)]
        vectors += _deviations(random, shape.centre, _drawn(random, shape.centre_lengths))
        uneven = _drawn(random, shape.noise_lengths)
        vectors += _deviations(np.random.default_rng((self.seed, block, image)), shape.noise, uneven)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def _drawn(random: np.random.Generator, quantiles: np.ndarray) -> np.ndarray:
    """BLOCK lengths, float32, of a distribution that evenly spaced quantiles describe."""
    return np.interp(random.random(BLOCK), np.linspace(0, 1, len(quantiles)), quantiles).astype(np.float32)


def _deviations(random: np.random.Generator, factor: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """BLOCK deviations (BLOCK, d): directions from the covariance of `factor`, as long as `lengths` (BLOCK,) in its units."""
    directions = random.standard_normal((BLOCK, factor.shape[1]), np.float32)
    directions /= np.sqrt(np.einsum("np,np->n", directions, directions)[:, None] / factor.shape[1])
    return (directions * lengths[:, None]) @ factor.T
