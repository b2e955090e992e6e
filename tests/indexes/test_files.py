from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes import files
from indexes.approximate.ivf import Ivf
from indexes.errors import IndexFileError, VectorsError
from indexes.files import VectorWriter, open_vectors, read_index, write_index
from indexes.registry import load_index
from tests.indexes.vectors import cone


def test_vectors_are_written_as_they_come(tmp_path: Path) -> None:
    vectors = cone(1000, 8, 0)
    with VectorWriter(tmp_path / "v.npy", 8) as writer:
        for start in range(0, 1000, 300):
            writer.write(vectors[start : start + 300])
        with pytest.raises(VectorsError, match=r"\(2, 7\) were to be written; expected \(n, 8\)"):
            writer.write(np.zeros((2, 7), np.float32))
    np.testing.assert_array_equal(open_vectors(tmp_path / "v.npy"), vectors)
    assert isinstance(open_vectors(tmp_path / "v.npy"), np.memmap)


def test_vectors_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    with pytest.raises(IndexFileError, match=r"v\.npy"):
        open_vectors(path)
    for content in (np.zeros((3, 4)), np.zeros(4, np.float32)):
        np.save(path, content)
        with pytest.raises(IndexFileError, match=r"not that of an array float32 \(n, d\)"):
            open_vectors(path)
    np.save(path, np.zeros((100, 4), np.float32))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(IndexFileError, match="no array of vectors"):
        open_vectors(path)


def test_an_index_file_says_what_it_is(tmp_path: Path) -> None:
    arrays = {"codes": np.arange(10, dtype=np.uint8).reshape(5, 2), "none": np.empty((0, 3), np.float32), "rows": np.arange(4)}
    write_index(tmp_path / "x", "ivf", {"effort": {"visits": 3}}, arrays)
    kind, settings_, found = read_index(tmp_path / "x")
    assert (kind, settings_, list(found)) == ("ivf", {"effort": {"visits": 3}}, list(arrays))
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    with pytest.raises(IndexFileError, match="cannot be read"):
        read_index(path)
    path.write_bytes(b"IxF2 or whatever FAISS writes")
    with pytest.raises(IndexFileError, match="not an index file of onek"):
        read_index(path)
    monkeypatch.setattr(files, "FORMAT", 7)
    write_index(path, "flat", {}, {})
    monkeypatch.undo()
    with pytest.raises(IndexFileError, match="format 7; this onek reads formats 2 and 3, so take a newer"):
        read_index(path)
    write_index(path, "cuneiform", {}, {})
    with pytest.raises(IndexFileError, match="kind cuneiform; this onek knows flat, "):
        load_index(path, cone(3, 4, 0))


def test_an_index_of_other_vectors(tmp_path: Path) -> None:
    Ivf.build(cone(1500, 16, 0)).save(tmp_path / "x")
    with pytest.raises(IndexFileError, match="lists of .* vectors, for 1400 in all"):
        load_index(tmp_path / "x", cone(1400, 16, 0))
    with pytest.raises(IndexFileError, match=r"matrix0 of IndexPreTransform is <f4 of the shape \(\d+, 16\), expected"):
        load_index(tmp_path / "x", cone(1500, 15, 0))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("index") / "x"
    Ivf.build(cone(1100, 8, 0)).save(path)
    return path.read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_found(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    header = whole.index(b"\n", whole.index(b"\n") + 1)
    at = data.draw(st.one_of(st.integers(0, header), st.integers(0, len(whole) - 1)))
    damaged = bytearray(whole)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "x").write_bytes(damaged)
    with pytest.raises(IndexFileError):
        load_index(tmp_path / "x", cone(1100, 8, 0))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_off_anywhere_is_found(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    (tmp_path / "x").write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(IndexFileError):
        load_index(tmp_path / "x", cone(1100, 8, 0))


def test_a_file_that_says_another_format_than_it_was_written_in(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(whole.replace(b"onek index 3", b"onek index 2", 1))
    with pytest.raises(IndexFileError, match="of format 2 and says 3"):
        read_index(tmp_path / "x")
