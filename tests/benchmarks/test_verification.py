from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.verification import Pair, read_pairs, verification
from engine.errors import ListError, ListGuess, MetricsError, PhotographsError


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
    with pytest.raises(ListError, match="no such file"):
        read_pairs(path)
    path.write_text("left,right\n")
    with pytest.raises(ListError, match="found the columns left, right; expected a and b and same"):
        read_pairs(path)
    path.write_text("a,b,same\nx,y,yes\n")
    with pytest.raises(ListError, match="line 2 says same = 'yes'"):
        read_pairs(path)
    path.write_bytes("A;B;Same\r\nZoë/1.jpg;x.jpg;1\r\n".encode("utf-16"))
    with pytest.warns(ListGuess, match="semicolons"):
        assert read_pairs(path) == [Pair("Zoë/1.jpg", "x.jpg", True)]
    with pytest.raises(PhotographsError, match=r"x\.jpg: no such file"):
        verification(tmp_path, [Pair("x.jpg", "y.jpg", True)], "pixels")


def test_pairs_of_one_kind_alone(tmp_path: Path, save: Callable[[np.ndarray, str], Path]) -> None:
    save(np.zeros((8, 8, 3), np.uint8), "x.png")
    for same, found in ((True, "30 pairs of one identity and 0 of two"), (False, "0 pairs of one identity and 30 of two")):
        with pytest.raises(MetricsError, match=f"found {found}; expected at least 10 of each"):
            verification(tmp_path, [Pair("x.png", "x.png", same)] * 30, "pixels", faces="none")
