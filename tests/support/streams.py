"""Photographs and recordings streamed in any order, in batches of any size, by any number of threads."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.common import concurrency
from engine.embedding import embedder as embed
from engine.embedding.embedder import Embedder
from engine.embedding.outcome import Outcome
from engine.embedding.photographs import Photograph


def stream_in_any_way(
    embedder: Embedder, photographs: Sequence[Photograph], check: Callable[[list[Outcome]], None], examples: int
) -> None:
    """Call `check` with what became of all of them, so many times; outcomes must come in the order of that time."""

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(order=st.permutations(photographs), batch=st.integers(1, 50), chips=st.integers(1, 80), threads=st.integers(1, 4))
    def streamed(order: list[Photograph], batch: int, chips: int, threads: int) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(embed, "BATCH", batch)
            patched.setattr(embed, "CHIPS", chips)
            patched.setattr(concurrency.os, "cpu_count", lambda: threads)
            outcomes = list(embedder.stream(order))
        assert [outcome.photograph.source for outcome in outcomes] == [each.source for each in order]
        check(outcomes)

    streamed()
