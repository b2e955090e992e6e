import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decision import accepts, checked_threshold, nearest_identities
from engine.errors import GalleryError
from indexes.flat import Flat


def test_the_threshold_itself_is_accepted() -> None:
    scores = np.array([0.0, 0.42, 0.425, 0.4250001, 2.0, np.nan], np.float32)
    assert accepts(scores, 0.425).tolist() == [True, True, True, False, False, False]


def test_thresholds() -> None:
    assert checked_threshold(None, 0.4) == 0.4
    assert checked_threshold(0.0, 0.4) == 0.0
    with pytest.raises(GalleryError, match="pass --threshold"):
        checked_threshold(None, None)
    for wrong in (-0.1, 2.1, float("nan")):
        with pytest.raises(GalleryError, match="expected a distance"):
            checked_threshold(wrong, None)


@settings(max_examples=80, deadline=None)
@given(
    templates=st.integers(1, 60),
    identities=st.integers(1, 12),
    probes=st.integers(1, 8),
    top=st.integers(1, 15),
    crowd=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_an_identity_is_as_near_as_its_nearest_template(
    templates: int, identities: int, probes: int, top: int, crowd: bool, seed: int
) -> None:
    """Against a plain loop; with a crowd, one identity has nearly all the templates."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(templates + probes, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    enrolled, searched = vectors[:templates], vectors[templates:]
    raw = (
        np.where(random.random(templates) < 0.9, 0, random.integers(0, identities, templates))
        if crowd
        else random.integers(0, identities, templates)
    )
    codes = np.unique(raw, return_inverse=True)[1].astype(np.int32)
    found = nearest_identities(Flat.build(enrolled), codes, searched, top)
    for i in range(probes):
        distances = np.linalg.norm(searched[i] - enrolled, axis=1)
        best = sorted((distances[codes == code].min(), code) for code in set(codes.tolist()))[:top]
        part = slice(found.offsets[i], found.offsets[i + 1])
        np.testing.assert_allclose(found.distances[part], [distance for distance, _ in best], atol=1e-6)
        assert len(set(codes[found.rows[part]].tolist())) == len(best)
        np.testing.assert_allclose(distances[found.rows[part]], found.distances[part], atol=1e-6)


def test_no_probes() -> None:
    found = nearest_identities(Flat.build(np.eye(3, dtype=np.float32)), np.arange(3), np.empty((0, 3), np.float32), 2)
    assert found.offsets.tolist() == [0]
    assert len(found.rows) == 0
