"""How pictures descend their cost: by Adam, all of a batch at once, or by L-BFGS, each by itself."""

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.common.tensorflow import tensorflow

ADAM, LBFGS = "adam", "lbfgs"
OPTIMIZERS = (ADAM, LBFGS)
WHITE = 255.0
# Of Adam, in grey values.
_RATE = 4.0
# Steps that L-BFGS remembers, and pictures that it looks at along one, at most.
_REMEMBERED, _LOOKS = 10, 20

Costs = Callable[[Any], Any]
"""From pictures float32 (n, h, w, 3), 0 to 255, to the cost of each, (n,), as TensorFlow operations."""
# Told of each step: how many are done, the cost of each picture (n,), and the pictures so far as a function, since most steps'
# are not looked at.
Told = Callable[[int, np.ndarray, Callable[[], np.ndarray]], None]


def by_adam(costs: Costs, start: np.ndarray, steps: int, told: Told) -> np.ndarray:
    """Pictures float32 (n, h, w, 3) after so many steps of Adam (Kingma and Ba 2015), clipped to 0 to 255 after each."""
    tf = tensorflow()
    pictures = tf.Variable(start, dtype=tf.float32)
    optimizer = tf.keras.optimizers.Adam(_RATE)
    optimizer.build([pictures])

    def step() -> Any:
        with tf.GradientTape() as tape:
            found = costs(pictures)
        optimizer.apply([tape.gradient(found, pictures)], [pictures])
        pictures.assign(tf.clip_by_value(pictures, 0, WHITE))
        return found

    run = tf.function(step)
    for number in range(1, steps + 1):
        told(number, run().numpy(), pictures.numpy)
    return np.asarray(pictures.numpy())


def by_lbfgs(costs: Costs, start: np.ndarray, steps: int, told: Told) -> np.ndarray:
    """As `by_adam`, of one picture (1, h, w, 3), by L-BFGS within the bounds 0 to 255 (Byrd et al. 1995, as SciPy has it).

    It ends earlier where no step makes the cost smaller.
    """
    from scipy.optimize import Bounds, OptimizeResult, minimize  # late: Adam does without

    tf = tensorflow()
    shape = start.shape

    def with_gradient(picture: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(picture)
            found = costs(picture)
        return found, tape.gradient(found, picture)

    run = tf.function(with_gradient)

    def cost_of(flat: np.ndarray) -> tuple[float, np.ndarray]:
        found, gradient = run(tf.constant(flat.reshape(shape), tf.float32))
        return float(found[0]), gradient.numpy().astype(np.float64).ravel()

    done = 0

    def count(intermediate_result: OptimizeResult) -> None:
        nonlocal done
        done += 1
        told(done, np.array([intermediate_result.fun]), lambda: intermediate_result.x.reshape(shape))

    options = {"maxiter": steps, "maxfun": _LOOKS * steps, "maxcor": _REMEMBERED, "ftol": 0.0, "gtol": 0.0}
    made = minimize(
        cost_of,
        start.astype(np.float64).ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(0, WHITE),
        callback=count,
        options=options,
    )
    return np.asarray(made.x.reshape(shape), np.float32)
