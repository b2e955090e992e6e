"""The challenge: look left, look right, in an order that the service chooses. A flat picture, however it is turned, does neither.

How far a head is turned shows in where the nose lies between the eyes. Of a flat picture that is turned before the camera, all of
this is narrowed alike, and the nose stays where it was between them. Of one that is bent round a tube it moves, though less far
than a head's: `TURNED` asks for as much as few of these reach.
"""

import secrets
from collections.abc import Sequence

import numpy as np

LEFT, RIGHT = "left", "right"
SECONDS = 15.0
"""How long a challenge is good for."""
TURNED = 0.3
"""A head is turned from this on, in distances of the eyes that the nose lies off where it lay before: about 30 degrees."""
FRONT = 0.25
"""As far as a head may be turned on the first picture."""
LEAST = 3
"""Pictures that an answer has at least: before, looking one way, looking the other way."""


def chosen() -> list[str]:
    """Where to look, first and then, as the person sees it."""
    return [LEFT, RIGHT] if secrets.randbelow(2) else [RIGHT, LEFT]


def turn_of(landmarks: np.ndarray) -> float:
    """How far a head is turned: where the nose lies between the eyes, in distances of the eyes off their middle, above 0 towards
    the right side of the picture, which is the person's left.

    `landmarks` are complex (5,), as `engine.faces.detector.Detection` has them. The eyes' line counts as level.
    """
    left, right, nose = landmarks[:3]
    across = right - left
    return float(((nose - (left + right) / 2) * np.conj(across)).real / max(abs(across) ** 2, 1e-9))


def failed(turns: Sequence[float], asked: Sequence[str]) -> str | None:
    """Why a head that was turned so, picture after picture, did not do what was asked; None where it did."""
    if len(turns) < LEAST:
        return f"{len(turns)} pictures; expected {LEAST} at least: before, and at each turn"
    straight = turns[0]
    if abs(straight) > FRONT:
        return "the first picture must show the face from the front"
    seen: list[str] = []
    for turn in turns[1:]:
        side = LEFT if turn - straight >= TURNED else RIGHT if straight - turn >= TURNED else None
        if side is not None and (not seen or seen[-1] != side):
            seen.append(side)
    if not seen:
        return "the head was not turned"
    if seen != list(asked):
        return "the head was not turned as asked, in the order asked"
    return None
