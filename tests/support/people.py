"""Synthetic people for tests."""

from pathlib import Path

from benchmarks.data.synthetic_templates import Shape


def crowded() -> Shape:
    """Of people who lie close together, as templates of `dlib-resnet` do: strangers meet them often, and local scores help.

    The table was fitted as those of `benchmarks/data` are, and like them holds sums over people alone.
    """
    return Shape.load(Path(__file__).parents[1] / "fixtures" / "crowded_people.npz")
