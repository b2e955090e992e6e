"""What a benchmark of Milvus says of decisions, on a gallery that both must decide alike."""

import numpy as np
import pytest

from benchmarks.speed.milvus import measure_milvus
from engine.gallery.gallery import Gallery


def test_an_exact_gallery_decides_alike_wherever_it_lives(tmp_path):
    made = measure_milvus(tmp_path, count=1000, probes=64, rounds=1)
    assert (made.probes, made.equal, made.unlike, made.short_milvus, made.short_folder) == (64, 1.0, 0, 0, 0)
    assert min(made.identify, made.bare, made.bare_fields, made.built_seconds) > 0
    assert made.low == made.high == pytest.approx(made.identify / made.bare)


def test_decisions_that_differ_are_counted_and_looked_into(tmp_path, monkeypatch):
    whole = Gallery.identify

    def forgetful(self, probes, **options):
        """A folder that does not know the people it was asked for."""
        return whole(self, -np.asarray(probes) if self.capabilities.files else probes, **options)

    monkeypatch.setattr(Gallery, "identify", forgetful)
    made = measure_milvus(tmp_path, count=1000, probes=64, rounds=1)
    assert made.unlike > 0
    assert made.equal == 1 - made.unlike / 64
    assert (made.short_milvus, made.short_folder) == (0, made.unlike)
