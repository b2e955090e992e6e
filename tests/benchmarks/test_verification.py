from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.verification import Pair, read_pairs, verification
from engine.errors import PhotographsError


def test_drawn_pairs(
    drawn: list[np.ndarray], drawn_again: list[np.ndarray], save: Callable[[np.ndarray, str], Path], tmp_path: Path
) -> None:
    for number in range(12):
        save(drawn[number], f"{number}a.png")
        save(drawn_again[number], f"{number}b.png")
    pairs = [Pair(f"{i}a.png", f"{i}b.png", True) for i in range(12)]
    pairs += [Pair(f"{i}a.png", f"{(i + 5) % 12}b.png", False) for i in range(12)]
    made = verification(tmp_path, pairs, "sface")
    assert made.accuracy.mean >= 0.85
    assert (made.pairs, made.photographs, made.failed) == (24, 24, ())


def test_real_pairs(real_data: Path) -> None:
    """A slice of LFW's development pairs; the figure in the README is of all of them, by `onek benchmark verification`."""
    pairs = read_pairs(real_data / "lfw-dev-pairs.csv")
    assert len(pairs) == 1899
    made = verification(real_data / "lfw-dev", pairs[:60] + pairs[-60:], "sface")
    assert made.accuracy.mean > 0.95
    assert 1.0 < made.accuracy.threshold < 1.2
    assert made.failed == ()


@pytest.mark.slow
def test_all_real_pairs(real_data: Path) -> None:
    pairs = read_pairs(real_data / "lfw-dev-pairs.csv")
    assert verification(real_data / "lfw-dev", pairs, "sface", flip=False).accuracy.mean > 0.99
    assert verification(real_data / "lfw-dev", pairs, "sface", flip=True).accuracy.mean > 0.99
    assert verification(real_data / "lfw-dev", pairs, "dlib-resnet").accuracy.mean > 0.985
    assert 0.55 < verification(real_data / "lfw-dev", pairs, "pixels").accuracy.mean < 0.7


def test_pairs_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    with pytest.raises(PhotographsError, match="No such file"):
        read_pairs(path)
    path.write_text("left,right\n")
    with pytest.raises(PhotographsError, match="expected a, b and same"):
        read_pairs(path)
    path.write_text("a,b,same\nx,y,yes\n")
    with pytest.raises(PhotographsError, match="row 1 says same = 'yes'"):
        read_pairs(path)
    with pytest.raises(PhotographsError, match=r"x\.jpg: no such file"):
        verification(tmp_path, [Pair("x.jpg", "y.jpg", True)], "pixels")
