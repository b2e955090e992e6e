"""Training throughput beside a bare Keras loop."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from engine.common.tensorflow import tensorflow
from engine.training.fit import Recipe, fit
from engine.training.networks import fresh
from engine.training.validation import split_identities, validation_of
from indexes.base import Progress

_PEOPLE, _EACH = 60, 8


@dataclass(frozen=True)
class Throughput:
    """Images a second of training, with mining and changed chips, and of a bare loop; the first in parts of the second."""

    ours: float
    bare: float
    ratio: float
    low: float
    high: float


def measure_training(rounds: int, steps: int, progress: Progress | None = None) -> Throughput:
    """The small network on noise, both ways in turns: an epoch of ours, and as many batches of `train_on_batch` with a mean
    square loss, after one of each that counts for nothing.
    """
    random = np.random.default_rng(0)
    chips = random.integers(0, 255, (_PEOPLE * _EACH, 64, 64, 3)).astype(np.uint8)
    names = np.repeat([f"p{number}" for number in range(_PEOPLE)], _EACH)
    rows, aside = split_identities(names, 0.3, 0)
    validation = validation_of(names, aside, 0)
    recipe = Recipe(steps=steps, epochs=rounds + 1, patience=rounds + 2, mining="random")
    size = recipe.identities * recipe.each
    model = fresh("small").model
    model.compile(tensorflow().keras.optimizers.Adam(recipe.rate), loss="mse")
    batch, target = chips[:size].astype(np.float32) / 127.5 - 1, np.zeros((size, 128), np.float32)
    bare: list[float] = []

    def loop(_: Any) -> None:
        start = time.perf_counter()
        for _step in range(steps):
            model.train_on_batch(batch, target)
        bare.append(steps * size / (time.perf_counter() - start))
        if progress:
            progress("rounds", len(bare), rounds + 2)

    with tempfile.TemporaryDirectory() as folder:
        made = fit(fresh("small"), chips, names, rows, validation, recipe, Path(folder), seen=loop)
    # The first epoch of either holds compilation; the bare loop runs after each of ours.
    pairs = [(epoch.images_per_second, other) for epoch, other in zip(made.epochs[2:], bare[2:], strict=True)]
    ratios = [own / other for own, other in pairs]
    return Throughput(
        median(own for own, _ in pairs), median(other for _, other in pairs), median(ratios), min(ratios), max(ratios)
    )
