"""Training: steps, an epoch's validation, checkpoints that a killed run goes on from with the same curve."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from engine.common.concurrency import map_ahead
from engine.common.tensorflow import tensorflow
from engine.errors import TrainingError
from engine.training.batches import Batches, Shuffled
from engine.training.checkpoint import Checkpoint, Epoch, read_checkpoint, write_checkpoint
from engine.training.losses import MARGIN, MINING, MININGS, arcface_loss, mine, pair_loss, squared_distances, triplet_loss
from engine.training.networks import Network, descriptors, structure
from engine.training.pictures.styles import StyledChips
from engine.training.validation import Validation, figures, require_disjoint

LOSSES = ("triplet", "arcface", "pairs")
_SMALLER = "the best weights until then are kept: go on from these with --resume and a smaller --rate"
# Weights that have grown to so many times their first size have diverged, and training stops. A step of Adam moves each weight by
# about the rate: in six steps those of the small network grow 1.2 times at a rate of 0.01, and 73 times at 1.
_BLOWN_UP = 1000


@dataclass(frozen=True)
class Recipe:
    """How to train. `mining` (None: semi-hard) and `margin` (None: 0.2) go with the losses that use them: triplets both, pairs
    the first. `identities` and `each`: P and k of a batch. `steps` make an epoch; None: about one pass over the pictures.
    `rate`: Adam's, above 0. `patience`: epochs without a better one before it stops. `augment`: whether chips are changed.
    """

    loss: str = "triplet"
    mining: str | None = None
    margin: float | None = None
    epochs: int = 30
    steps: int | None = None
    identities: int = 24
    each: int = 4
    rate: float = 1e-3
    patience: int = 8
    augment: bool = True
    seed: int = 0

    def check(self) -> None:
        """Refuse a loss or a mining that does not exist, or that does not go with the other. Raises `TrainingError`."""
        for name, value, known in (("loss", self.loss, LOSSES), ("mining", self.mining, (None, *MININGS))):
            if value not in known:
                raise TrainingError(f"--{name} {value}: expected {', '.join(filter(None, known))}")
        for name, given, losses in (("mining", self.mining, ("triplet", "pairs")), ("margin", self.margin, ("triplet",))):
            if given is not None and self.loss not in losses:
                raise TrainingError(f"--{name} {given} goes with --loss {' or '.join(losses)}; {self.loss} has none")
        if not 0 < self.rate < np.inf:
            raise TrainingError(f"--rate {self.rate:g}: expected a number above 0")

    @property
    def mined(self) -> str:
        """Which triplets of a batch are taken."""
        return self.mining or MINING

    @property
    def apart(self) -> float:
        """The margin of the triplet loss."""
        return MARGIN if self.margin is None else self.margin


@dataclass(frozen=True)
class Trained:
    """What training came to: `epochs`, first the figures before any step; `best`, whose weights the network now has."""

    epochs: tuple[Epoch, ...]
    best: Epoch


# Told of each epoch, and of steps: how many are done, of how many, loss, active share, images a second.
Told = Callable[[int, int, float, float, float], None]


def fit(
    network: Network,
    chips: np.ndarray,
    names: np.ndarray,
    rows: np.ndarray,
    validation: Validation,
    recipe: Recipe,
    folder: Path,
    *,
    of: str = "",
    styled: StyledChips | None = None,
    resume: bool = False,
    told: Told | None = None,
    seen: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train a network in place; its best weights, by `merit`, are in it when this returns.

    Args:
        network: what `engine.training.networks` made.
        chips: what is shown of each file, uint8 (n, s, s, 3), or float32 (n, *shape) of arrays; may be memory-mapped.
        names: of the identities (n,).
        rows: of the chips to train on; no identity of theirs is among the validation's.
        validation: of the other chips.
        recipe: how to.
        folder: for the checkpoint.
        of: what the chips are of; a run goes on only with the same ones.
        styled: gives chips styles before they are changed otherwise; a run goes on only with the same ones.
        resume: whether to go on from the checkpoint in `folder`; at another rate than before, from the best weights so far.
        told: told of each step.
        seen: told of each epoch.

    Raises:
        TrainingError: too few pictures, identities on both sides, a checkpoint of another run, a loss that is not finite, or
            weights that blew up: the step or epoch is named, and the network has its best weights from before.
    """
    recipe.check()
    aside = np.concatenate([validation.enrolled, validation.mated, validation.strangers])
    require_disjoint(names[rows], names[aside])
    labels = np.unique(names[rows], return_inverse=True)[1].astype(np.int32)
    batches = _batches(labels, recipe)
    stepper = _Stepper(network, recipe, int(labels.max()) + 1)
    # A run goes on only with what it began with.
    shown = of if styled is None else f"{of} in styles {styled.digest}"
    run = {"chips": shown, "network": structure(network), "recipe": repr(replace(recipe, epochs=0, patience=0, rate=0))}
    rate, size = f"{recipe.rate:g}", _size(network)
    checkpoint = read_checkpoint(folder, run) if resume else None
    if checkpoint is None:
        before = _validated(network, chips, aside, validation, Epoch(0, 0.0, 0.0, 0.0))
        checkpoint = Checkpoint({**run, "rate": rate}, (before,), stepper.state(), _weights(network))
        write_checkpoint(folder, checkpoint)
        if seen:
            seen(before)
    elif checkpoint.run.get("rate") == rate:
        stepper.restore(checkpoint.state)
    else:
        network.model.set_weights(checkpoint.best)
    steps = recipe.steps or max(1, len(rows) // (recipe.identities * recipe.each))
    while _goes_on(checkpoint, recipe):
        number = len(checkpoint.epochs)
        span = range((number - 1) * steps, number * steps)
        try:
            epoch = _epoch(stepper, batches, chips, rows, labels, span, recipe, number, styled, told)
            epoch = _validated(network, chips, aside, validation, epoch)
            _refuse_blown_up(_size(network) / size, epoch, recipe)
        except TrainingError:
            network.model.set_weights(checkpoint.best)
            raise
        better = merit(epoch) > max(map(merit, checkpoint.epochs))
        best = _weights(network) if better else checkpoint.best
        checkpoint = Checkpoint({**run, "rate": rate}, (*checkpoint.epochs, epoch), stepper.state(), best)
        write_checkpoint(folder, checkpoint)
        if seen:
            seen(epoch)
    network.model.set_weights(checkpoint.best)
    return Trained(checkpoint.epochs, max(checkpoint.epochs, key=merit))


def merit(epoch: Epoch) -> tuple[float, float]:
    """What the best epoch is chosen by: TPIR at FPIR 1 % in whole percents, then the equal error rate, which improves earlier."""
    return round(epoch.tpir, 2), -epoch.eer


def _weights(network: Network) -> list[np.ndarray]:
    # Copies: what Keras gives may be the memory that the next step writes to.
    return [np.array(weight) for weight in network.model.get_weights()]


def _size(network: Network) -> float:
    return float(np.sqrt(sum(np.square(each.numpy().astype(np.float64)).sum() for each in network.model.trainable_variables)))


def _refuse_blown_up(growth: float, epoch: Epoch, recipe: Recipe) -> None:
    if not growth < _BLOWN_UP:
        raise TrainingError(
            f"the weights grew {growth:.3g} times by epoch {epoch.number}, so --rate {recipe.rate:g} is too large; {_SMALLER}"
        )


def _goes_on(checkpoint: Checkpoint, recipe: Recipe) -> bool:
    best = max(checkpoint.epochs, key=merit)
    since = checkpoint.epochs[-1].number - best.number
    return len(checkpoint.epochs) <= recipe.epochs and since < recipe.patience


def _batches(labels: np.ndarray, recipe: Recipe) -> Batches | Shuffled:
    if recipe.loss == "arcface":
        return Shuffled(labels, recipe.identities * recipe.each, recipe.seed)
    return Batches(labels, recipe.identities, recipe.each, recipe.seed)


def _epoch(
    stepper: "_Stepper",
    batches: Batches | Shuffled,
    chips: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    steps: range,
    recipe: Recipe,
    number: int,
    styled: StyledChips | None,
    told: Told | None,
) -> Epoch:
    def batch(step: int) -> tuple[int, np.ndarray, np.ndarray]:
        chosen = batches.rows(step)
        shown, seed = np.stack([chips[row] for row in rows[chosen]]), (recipe.seed, step)
        if styled is not None:
            shown = styled(shown, seed)
        return step, stepper.network.batch(shown, seed, recipe.augment), labels[chosen]

    losses, shares, images, start = [], [], 0, perf_counter()
    for step, pixels, whose in map_ahead(batch, steps):
        loss, share = stepper.step(pixels, whose, step)
        if not np.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {step + 1} (epoch {number}); {_SMALLER}")
        losses.append(loss)
        shares.append(share)
        images += len(pixels)
        if told:
            told(len(losses), len(steps), loss, share, images / (perf_counter() - start))
    if recipe.loss == "triplet" and not any(shares):
        raise TrainingError(
            f"no triplet of epoch {number} was active: every positive is nearer than every negative by more than the margin "
            f"{recipe.apart:g}; take --mining hard or a larger --margin"
        )
    return Epoch(number, float(np.mean(losses)), float(np.mean(shares)), images / (perf_counter() - start))


def _validated(network: Network, chips: np.ndarray, aside: np.ndarray, validation: Validation, epoch: Epoch) -> Epoch:
    made_of = descriptors(network, np.stack([chips[row] for row in aside]))
    if not np.isfinite(made_of).all():
        raise TrainingError(f"after the last step of epoch {epoch.number} descriptors are no numbers; {_SMALLER}")
    made = figures(made_of, validation, aside)
    return replace(epoch, tpir=made.tpir, rank1=made.rank1, eer=made.eer)


class _Stepper:
    """One step of Adam at a time."""

    def __init__(self, network: Network, recipe: Recipe, classes: int) -> None:
        tf = tensorflow()
        # Sums in another order would let a run that is resumed come to other weights.
        tf.keras.utils.set_random_seed(recipe.seed)
        tf.config.experimental.enable_op_determinism()
        self._optimizer = tf.keras.optimizers.Adam(float(recipe.rate))
        if network.mixed:
            self._optimizer = tf.keras.optimizers.LossScaleOptimizer(self._optimizer)
        self.network = network
        self._model, self._extra = network.model, []
        if recipe.loss == "arcface":
            drawn = np.random.default_rng(recipe.seed).normal(size=(network.dim, classes)).astype(np.float32)
            self._extra = [tf.Variable(drawn, name="classes")]
        elif recipe.loss == "pairs":
            self._extra = [tf.Variable(tf.ones(network.dim), name="weights"), tf.Variable(tf.ones(()), name="bias")]
        self._variables = [*network.model.trainable_variables, *self._extra]
        self._optimizer.build(self._variables)
        mean, scale = tf.constant(network.mean, tf.float32), network.scale

        def loss_of(pixels: Any, labels: Any, seed: Any) -> tuple[Any, Any]:
            raw = self._model((tf.cast(pixels, tf.float32) - mean) * scale, training=True)
            unit = tf.nn.l2_normalize(tf.cast(raw, tf.float32), axis=1)
            if recipe.loss == "arcface":
                return arcface_loss(unit, labels, self._extra[0])
            triplets = mine(tf.stop_gradient(squared_distances(unit)), labels, recipe.mined, seed)
            if recipe.loss == "pairs":
                return pair_loss(unit, triplets, *self._extra)
            return triplet_loss(unit, triplets, recipe.apart)

        def step(pixels: Any, labels: Any, seed: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                loss, share = loss_of(pixels, labels, seed)
                scaled = self._optimizer.scale_loss(loss)
            self._optimizer.apply(tape.gradient(scaled, self._variables), self._variables)
            return loss, share

        shown = tf.TensorSpec((None, *network.inputs), tf.as_dtype(network.chip.dtype))
        self._step = tf.function(step, [shown, tf.TensorSpec((None,), tf.int32), tf.TensorSpec((2,), tf.int32)])
        self._seed = recipe.seed

    def step(self, pixels: np.ndarray, labels: np.ndarray, number: int) -> tuple[float, float]:
        """Learn from one batch: its loss and active share before."""
        loss, share = self._step(pixels, labels, np.array([self._seed, number], np.int32))
        return float(loss), float(share)

    def state(self) -> list[np.ndarray]:
        """Everything that the next step depends on, for `restore`."""
        kept = [*self._model.weights, *self._extra, *self._optimizer.variables]
        return [np.array(tensorflow().convert_to_tensor(variable).numpy()) for variable in kept]

    def restore(self, state: list[np.ndarray]) -> None:
        """Go back to a `state`."""
        kept = [*self._model.weights, *self._extra, *self._optimizer.variables]
        for variable, value in zip(kept, state, strict=True):
            variable.assign(value)
