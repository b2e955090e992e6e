import numpy as np

from engine.encoders import load_encoder


def test_pixels_are_unit_and_blind_to_brightness_and_contrast() -> None:
    random = np.random.default_rng(0)
    chips = random.integers(40, 120, (4, 150, 150, 3), dtype=np.uint8)
    encoder = load_encoder("pixels", flip=False)
    templates = encoder.encode(chips)
    assert templates.shape == (4, 128)
    np.testing.assert_allclose(np.linalg.norm(templates, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(chips * 2), templates, atol=0.05)
    assert np.linalg.norm(templates[0] - templates[1]) > 0.5


def test_the_projection_is_fixed_and_orthogonal() -> None:
    from engine.encoders.pixels import _projection

    projection = _projection(128)
    np.testing.assert_allclose(projection.T @ projection, np.eye(128), atol=1e-5)
    np.testing.assert_array_equal(projection, _projection(128))
