from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.demo import run_demo
from engine.errors import OutputError


@contextmanager
def no_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda more: None


def test_a_small_demo(tmp_path: Path) -> None:
    outcome = run_demo(tmp_path / "demo", no_bar, enrolled=60, strangers=20)
    assert (outcome.mated.probes, outcome.strangers.probes) == (60, 20)
    assert outcome.mated.right >= 45
    assert outcome.strangers.right >= 16
    for tally in (outcome.mated, outcome.strangers):
        assert tally.probes == tally.wrong_name + tally.unknown + tally.failed + (tally.right if tally is outcome.mated else 0)
    assert all(path.exists() for path in (outcome.templates, outcome.gallery, outcome.results))
    with pytest.raises(OutputError, match="exists already"):
        run_demo(tmp_path / "demo", no_bar)


def test_only_a_demo_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputError, match="was not made by the demo"):
        run_demo(tmp_path / "mine", no_bar, overwrite=True)
