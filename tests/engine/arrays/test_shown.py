"""What an encoder sees of signals and volumes."""

import numpy as np
import pytest

from engine.arrays import Cube, Sampled, Window, cube_of, windows_of
from engine.errors import ImageProblem

RANDOM = np.random.default_rng(0)


def test_windows_are_even_and_normalised() -> None:
    signal = np.arange(100.0)
    seen = windows_of(Sampled(signal), Window(10, windows=4, normalise="none"))
    assert (seen.shape, seen.dtype, seen.flags.c_contiguous) == ((4, 10, 1), np.float32, True)
    np.testing.assert_array_equal(seen[:, 0, 0], [0, 30, 60, 90])
    unit = windows_of(Sampled(RANDOM.normal(5, 3, (100, 2)) * [1, 1000]), Window(10, channels=2))
    np.testing.assert_allclose(unit.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(unit.std(axis=1), 1, atol=1e-5)
    # As long as a window: all of them are the same.
    seen = windows_of(Sampled(signal[:10]), Window(10))
    assert (seen == seen[:1]).all()
    # Gain and offset change nothing.
    noise = RANDOM.normal(size=500)
    one, other = (windows_of(Sampled(each), Window(64)) for each in (noise, 1e-3 * noise + 0.5))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_rates_are_brought_together() -> None:
    window = Window(512, rate=250.0, windows=1, normalise="none")
    slow = np.sin(2 * np.pi * 7 * np.arange(2048) / 250)
    seen = windows_of(Sampled(slow, rate=250), window)[0, :, 0]
    for rate in (500, 1000, 360, 44_100, 125):
        fast = np.sin(2 * np.pi * 7 * np.arange(round(2048 * rate / 250)) / rate)
        np.testing.assert_allclose(windows_of(Sampled(fast, rate=rate), window)[0, 20:, 0], seen[20:], atol=0.05)
    np.testing.assert_array_equal(windows_of(Sampled(slow), window)[0, :, 0], seen)
    with pytest.raises(ImageProblem, match="too far from the 250"):
        windows_of(Sampled(slow, rate=1e9), window)
    with pytest.raises(ImageProblem, match="at most"):
        windows_of(Sampled(np.zeros(1_000_000), rate=0.5), window)


def test_silent_windows_count_for_nothing() -> None:
    signal = np.zeros(400)
    signal[150:250] = RANDOM.normal(size=100)
    seen = windows_of(Sampled(signal), Window(100, windows=4))
    assert (np.ptp(seen, axis=1) > 0).all()
    two = np.stack([RANDOM.normal(size=400), np.zeros(400)], axis=1)
    seen = windows_of(Sampled(two), Window(100, channels=2))
    assert not seen[..., 1].any()
    assert np.isfinite(seen).all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((3, 4, 5)), r"shape \(3, 4, 5\), expected a signal: \(samples,\) or \(samples, 1\)"),
        (np.ones((1000, 2)), r"shape \(1000, 2\), expected a signal"),
        (np.zeros(0), r"shape \(0,\)"),
        (np.zeros(1000), "silence: all samples are the same"),
        (np.full(1000, 7.0), "silence"),
        (np.where(np.arange(1000) == 3, np.nan, 1), "1 of 1,000 numbers are NaN"),
        (np.where(np.arange(1000) < 3, 1e300, 1), "3 of 1,000 numbers are NaN, infinite, or too large"),
        (np.arange(20), r"20 samples \(2 s\), expected 32 or more, a window"),
        (np.where(np.arange(10_000) == 5_003, 1, 0), "silence in each of 2 windows"),
    ],
)
def test_signals_that_nothing_is_seen_of(values: np.ndarray, words: str) -> None:
    with pytest.raises(ImageProblem, match=words):
        windows_of(Sampled(values), Window(32, rate=10.0, windows=2))


def ball(side: int, radius: float) -> np.ndarray:
    axis = np.arange(side) - (side - 1) / 2
    return (sum(np.square(each) for each in np.meshgrid(axis, axis, axis)) < radius**2).astype(np.float32)


def test_a_cube_holds_all_of_a_volume_with_its_proportions() -> None:
    seen = cube_of(Sampled(RANDOM.normal(size=(40, 20, 30))), Cube(16))
    assert (seen.shape, seen.dtype, seen.flags.c_contiguous) == ((1, 16, 16, 16, 1), np.float32, True)
    # 40 x 20 x 30 becomes 16 x 8 x 12 in the middle, its mean around it.
    np.testing.assert_allclose(seen[0, :, :4], 0, atol=1e-6)
    np.testing.assert_allclose(seen[0, :, :, -2:], 0, atol=1e-6)
    assert seen[0, :, 4:12, 2:14].any(axis=-1).all()
    # The same ball from a fine scan and from a coarse one, and from one whose voxels are twice as long along an axis.
    fine, coarse = (cube_of(Sampled(each), Cube(16)) for each in (ball(64, 20), ball(32, 10)))
    assert np.corrcoef(fine.ravel(), coarse.ravel())[0, 1] > 0.98
    long = cube_of(Sampled(ball(64, 20)[::2], spacing=(2.0, 1.0, 1.0)), Cube(16))
    assert np.corrcoef(fine.ravel(), long.ravel())[0, 1] > 0.98
    # At its own size it is only normalised.
    own = RANDOM.normal(size=(16, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(cube_of(Sampled(own), Cube(16, normalise="none"))[0, ..., 0], own, atol=1e-6)


def test_voxels_are_brought_to_a_size_and_the_middle_is_seen() -> None:
    volume = RANDOM.normal(size=(20, 20, 20)).astype(np.float32)
    seen = cube_of(Sampled(volume, spacing=(1.0, 1.0, 1.0)), Cube(8, spacing=1.0, normalise="none"))
    np.testing.assert_allclose(seen[0, ..., 0], volume[6:14, 6:14, 6:14], atol=1e-6)
    ramp = Sampled(np.ones((20, 20, 20)) * np.arange(20.0), spacing=(0.5, 0.5, 0.5))
    halved = cube_of(ramp, Cube(10, spacing=1.0, normalise="none"))
    np.testing.assert_allclose(halved[0, 0, 0, 1:-1, 0], np.arange(0.5, 20, 2)[1:-1], atol=1e-4)
    with pytest.raises(ImageProblem, match=r"does not say how large its voxels are, and the encoder takes 1 mm"):
        cube_of(Sampled(volume), Cube(8, spacing=1.0))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros(9), r"shape \(9,\), expected a volume: \(x, y, z\) or \(x, y, z, 1\)"),
        (np.zeros((4, 4, 4, 2)), "expected a volume"),
        (np.zeros((4, 0, 4)), r"shape \(4, 0, 4\)"),
        (np.ones((4, 4, 4)), "a blank volume"),
        (np.full((4, 4, 4), np.inf), "64 of 64 numbers are NaN"),
    ],
)
def test_volumes_that_nothing_is_seen_of(values: np.ndarray, words: str) -> None:
    with pytest.raises(ImageProblem, match=words):
        cube_of(Sampled(values), Cube(8))
