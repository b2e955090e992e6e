"""Made-up hearts and solids are the same for the same seed, and the ways beside the network are fair."""

import numpy as np

from benchmarks.signals.hearts import RATE, draw_heart
from benchmarks.signals.measured import spectra, turned
from benchmarks.signals.solids import draw_solid
from engine.encoders.base import unit


def test_the_same_seed_the_same_heart_and_solid() -> None:
    for draw in (draw_heart, draw_solid):
        assert (draw(3, 1) == draw(3, 1)).all()
        assert (draw(3, 1) != draw(3, 2)).any()
        assert (draw(3, 1) != draw(4, 1)).any()
        assert draw(3, 1).dtype == np.float32


def test_fewer_dimensions_keep_all_distances() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(20, 300)).astype(np.float32))
    fewer = turned(vectors)
    assert fewer.shape == (20, 20)
    np.testing.assert_allclose(fewer @ fewer.T, vectors @ vectors.T, atol=1e-5)
    assert turned(vectors[:, :10]).shape == (20, 10)


def test_a_spectrum_does_not_see_where_a_wave_begins() -> None:
    times = np.arange(256) / RATE
    waves = [np.sin(2 * np.pi * 250 / 256 * 8 * times + phase) for phase in (0, 1, 2)]
    shown = np.stack(waves).astype(np.float32)[:, None, :, None]
    found = spectra(shown)
    np.testing.assert_allclose(found @ found.T, 1, atol=1e-4)
