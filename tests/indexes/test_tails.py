"""What joins an index with lists through a file of its own: the very index that adding the vectors makes."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexes.approximate.ivf import InvertedLists, Ivf
from indexes.approximate.ivf_sq8 import IvfSq8
from indexes.approximate.tail_file import load_tail, save_tail
from indexes.approximate.two_stage import Effort
from indexes.errors import IndexFileError, VectorsError
from indexes.files import VectorWriter, open_vectors, write_index
from indexes.registry import load_index
from indexes.stored.plain import rebuilt, taken
from tests.indexes.vectors import cone

BASE, COUNT = 1500, 2100
EVERYBODY, PROBES = cone(COUNT, 24, 0), cone(40, 24, 2)


def extended(kind: type[InvertedLists], *counts: int) -> InvertedLists:
    """Extended to so many, one after the other: what is encoded together may be rounded otherwise, by a few bits of a code."""
    layout, arrays = _built(kind)
    index = kind(rebuilt(layout, arrays, BASE, 24), EVERYBODY[:BASE], Effort(3, 20))
    for count in counts:
        index.extend(EVERYBODY[:count])
    return index


@cache
def _built(kind: type[InvertedLists]) -> tuple[Any, dict[str, np.ndarray]]:
    return taken(kind.build(EVERYBODY[:BASE])._index)


def same(one: InvertedLists, other: InvertedLists) -> None:
    """To the bit: of what they are made, and what they answer."""
    assert (one.count, one.dim, one.bytes_per_vector) == (other.count, other.dim, other.bytes_per_vector)
    (layout, ours), (other_layout, theirs) = taken(one._index), taken(other._index)
    assert layout == other_layout
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    rows = np.random.default_rng(0).permutation(one.count)[:300]
    np.testing.assert_array_equal(one.vectors(rows), other.vectors(rows))
    np.testing.assert_array_equal(one.vectors(rows[:0]), other.vectors(rows[:0]))
    for k in (1, 7, one.count):
        found, expected = one.search(PROBES, k), other.search(PROBES, k)
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_array_equal(found.distances, expected.distances)


@pytest.mark.parametrize("kind", [Ivf, IvfSq8])
@pytest.mark.parametrize("steps", [(COUNT,), (1501, COUNT), (1531, 1532, 1700, COUNT)])
def test_a_tail_answers_as_an_index_that_was_extended(kind: type[InvertedLists], steps: tuple[int, ...], tmp_path: Path) -> None:
    """Through files, from maps, at once or piece by piece; blocks of codes begin anywhere."""
    built = extended(kind)
    built.save(tmp_path / "base")
    for name, part in (("base", EVERYBODY[:BASE]), ("tail", EVERYBODY[BASE:])):
        with VectorWriter(tmp_path / f"{name}.npy", 24) as writer:
            writer.write(part)
    index = load_index(tmp_path / "base", open_vectors(tmp_path / "base.npy"))
    assert isinstance(index, InvertedLists)
    parts = [built.encoded(EVERYBODY[start:end]) for start, end in zip((BASE, *steps), steps, strict=False)]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    save_tail(tmp_path / "tail", kind.kind, BASE, whole)
    index.append(open_vectors(tmp_path / "tail.npy"), load_tail(tmp_path / "tail", kind.kind, BASE))
    other = extended(kind, *steps)
    same(index, other)
    # And goes on as any index does: with more behind it, and whole in one file.
    more = cone(30, 24, 5)
    for k in (1, 7):
        found, expected = index.with_more(more).search(more, k), other.with_more(more).search(more, k)
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_array_equal(found.distances, expected.distances)
    index.save(tmp_path / "whole")
    again = load_index(tmp_path / "whole", EVERYBODY)
    assert isinstance(again, InvertedLists)
    same(again, other)


def test_many_that_go_into_one_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of them the same vector: whole blocks of one list, which more than one block's bytes of vectors are in already."""
    monkeypatch.setattr("indexes.stored.behind._TOGETHER", 320)
    crowd = np.repeat(EVERYBODY[:1], 3000, axis=0)
    whole = np.concatenate([EVERYBODY[:BASE], crowd, EVERYBODY[:700]])
    one, other = Ivf.build(whole[:BASE]), Ivf.build(whole[:BASE])
    for count in (BASE + 1000, BASE + 1024, len(whole)):
        one.append(whole[one.count : count], one.encoded(whole[one.count : count]))
        other.extend(whole[:count])
        same(one, other)


def test_a_search_that_stops_early_finds_the_same() -> None:
    one, other = extended(Ivf), extended(Ivf, COUNT)
    one.append(EVERYBODY[BASE:], one.encoded(EVERYBODY[BASE:]))
    one.effort = other.effort = Effort(8, 20, 2, 0.5)
    for k in (1, 5):
        found, expected = (each.search(EVERYBODY[::7], k, stop_near=True) for each in (one, other))
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_array_equal(found.distances, expected.distances)


def test_what_cannot_join_is_refused() -> None:
    index = extended(Ivf, COUNT)
    bad = EVERYBODY[:3].copy()
    bad[1, 2] = np.nan
    for vectors, said in ((bad, "row 1 of the vectors holds NaN"), (EVERYBODY[:, :8], "24 dimensions, the vectors 8")):
        with pytest.raises(VectorsError, match=said):
            index.encoded(vectors)
    with pytest.raises(IndexFileError, match="to go behind 2100 of 24 dimensions"):
        index.append(EVERYBODY[:5, :8], index.encoded(EVERYBODY[:5]))
    with pytest.raises(IndexFileError, match="to go behind 2110 of 24 dimensions"):
        index.with_more(EVERYBODY[:10]).append(EVERYBODY[:5], index.encoded(EVERYBODY[:5]))


FORGED = {
    "a list below the first": (lambda arrays: arrays["lists"].__setitem__(3, -1), "rows in lists -1 to"),
    "a list behind the last": (lambda arrays: arrays["lists"].__setitem__(3, 1 << 20), "rows in lists 0 to 1048576, of"),
    "lists that are missing": (lambda arrays: arrays.pop("lists"), "lacks the array lists"),
    "fewer lists than rows": (lambda arrays: arrays.update(lists=arrays["lists"][:-1]), "expected <i4 of"),
    "wider numbers": (lambda arrays: arrays.update(lists=arrays["lists"].astype(np.int64)), "expected <i4 of"),
    "fewer codes than rows": (lambda arrays: arrays.update(codes=arrays["codes"][:-1]), "expected |u1 of"),
    "narrower codes": (lambda arrays: arrays.update(codes=arrays["codes"][:, :-1]), "expected |u1 of"),
    "wider codes": (lambda arrays: arrays.update(codes=np.repeat(arrays["codes"], 2, axis=1)), "expected |u1 of"),
    "codes in a row": (lambda arrays: arrays.update(codes=arrays["codes"].ravel()), "expected |u1 of"),
    "fewer finer codes": (lambda arrays: arrays.update(finer=arrays["finer"][:-1]), "expected |u1 of"),
    "no finer codes": (lambda arrays: arrays.pop("finer"), "lacks the array finer"),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_tail_is_refused_and_leaves_the_index_as_it_was(forged: str, tmp_path: Path) -> None:
    change, said = FORGED[forged]
    index = extended(IvfSq8)
    arrays = index.encoded(EVERYBODY[BASE:])
    change(arrays)
    save_tail(tmp_path / "tail", "ivf-sq8", BASE, arrays)
    with pytest.raises(IndexFileError) as refused:
        index.append(EVERYBODY[BASE:], load_tail(tmp_path / "tail", "ivf-sq8", BASE))
    assert said in str(refused.value)
    same(index, extended(IvfSq8))


def test_a_tail_of_another_index_is_refused(tmp_path: Path) -> None:
    index = extended(Ivf)
    save_tail(tmp_path / "tail", "ivf", BASE, index.encoded(EVERYBODY[BASE:]))
    for kind, first in (("ivf-sq8", BASE), ("ivf", BASE - 1)):
        with pytest.raises(IndexFileError, match=rf"an index of kind tail of ivf .* expected one of kind tail of {kind} behind"):
            load_tail(tmp_path / "tail", kind, first)
    with pytest.raises(IndexFileError, match="an index of kind tail of ivf; this onek knows flat"):
        load_index(tmp_path / "tail", EVERYBODY)
    index.save(tmp_path / "whole")
    with pytest.raises(IndexFileError, match="an index of kind ivf .* expected one of kind tail of ivf"):
        load_tail(tmp_path / "whole", "ivf", BASE)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_refused(seed: int, tmp_path: Path) -> None:
    index, random, file = extended(Ivf), np.random.default_rng(seed), tmp_path / "tail"
    save_tail(file, "ivf", BASE, index.encoded(EVERYBODY[BASE:]))
    held = bytearray(file.read_bytes())
    held[random.integers(len(held))] ^= 1 << random.integers(8)
    file.write_bytes(held[: len(held) if seed % 2 else random.integers(len(held))])
    with pytest.raises(IndexFileError):
        index.append(EVERYBODY[BASE:], load_tail(file, "ivf", BASE))


def test_settings_that_are_too_many(tmp_path: Path) -> None:
    """Such as what else a header might say; its hash is right."""
    index = extended(Ivf)
    write_index(tmp_path / "tail", "tail of ivf", {"first": BASE, "more": 1}, index.encoded(EVERYBODY[BASE:]))
    with pytest.raises(IndexFileError, match="expected one of kind tail of ivf behind 1500 vectors"):
        load_tail(tmp_path / "tail", "ivf", BASE)
    assert json.loads((tmp_path / "tail").read_bytes().splitlines()[1])["more"] == 1
