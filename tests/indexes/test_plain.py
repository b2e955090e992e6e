"""Indexes are kept as plain arrays: what is opened searches as what was built, and FAISS is safe from whatever arrays hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from indexes.approximate.faiss_factory import Factory, empty_index
from indexes.approximate.two_stage import Effort, TwoStageIndex
from indexes.errors import IndexFileError, IndexUnsupported
from indexes.files import open_vectors
from indexes.registry import KINDS, load_index
from tests.indexes.hostile import FAISS, VECTORS, faiss_bytes, former, header, on_disk, rewritten
from tests.indexes.vectors import cone

PROBES, NEW = cone(60, 16, 1), cone(70, 16, 2)
OURS = ["flat-codes", "ivf", "ivf-sq8"]
STRINGS = [
    "Flat", "SQ8", "SQ6", "SQ4", "SQfp16", "PQ4x6", "PQ8x4fs", "PCA8,Flat", "PCAW8,SQ8", "PCA12,OPQ4,PQ4x4", "RR16,SQ8",
    "IVF8,Flat", "IVF8,SQ8", "IVF8,PQ4x4", "IVF8,PQ4x4fs", "IVF8,PQ4x4fsr", "IVF8_HNSW4,SQ8", "IVF8_HNSW4,PQ4x4fsr",
    "PQ8x4fs,Refine(SQ8)", "IVF8,SQ8,Refine(PQ4x4)", "IVF8,PQ8x4fs,RFlat",
]  # fmt: skip
# What joins a graph is linked anew by chance, so the graph that was opened grows another way than the one that was built.
GRAPHS = ["HNSW8", "HNSW8,SQ8", "HNSW8,Flat,RFlat"]


def build(what: str) -> TwoStageIndex:
    index = KINDS[what].build(VECTORS) if what in OURS else Factory.build(VECTORS, factory=what)
    assert isinstance(index, TwoStageIndex)
    index.effort = Effort(min(3, index.most_visits), 20)
    return index


def opened(path: Path, vectors: np.ndarray = VECTORS) -> TwoStageIndex:
    index = load_index(path, vectors)
    assert isinstance(index, TwoStageIndex)
    return index


def same_answers(one: TwoStageIndex, other: TwoStageIndex) -> None:
    np.testing.assert_array_equal(one.shortlist(PROBES, 30), other.shortlist(PROBES, 30))
    ours, theirs = one.search(PROBES, 5), other.search(PROBES, 5)
    np.testing.assert_array_equal(ours.rows, theirs.rows)
    np.testing.assert_array_equal(ours.distances, theirs.distances)


@pytest.mark.parametrize("what", [*OURS, *STRINGS, *GRAPHS])
def test_what_is_opened_searches_and_grows_as_what_was_built(what: str, tmp_path: Path) -> None:
    index = build(what)
    index.save(tmp_path / "x")
    again = opened(tmp_path / "x")
    assert (again.effort, again.most_visits, again.bytes_per_vector) == (index.effort, index.most_visits, index.bytes_per_vector)
    same_answers(index, again)
    both = np.concatenate([VECTORS, NEW[:30], NEW[3:33], NEW[40:70]])
    for count in (len(VECTORS) + 30, len(VECTORS) + 60, len(both)):
        index.extend(both[:count])
        again.extend(both[:count])
    if what not in GRAPHS:
        same_answers(index, again)
    again.save(tmp_path / "y")
    same_answers(again, opened(tmp_path / "y", both))


@pytest.mark.parametrize("what", [*OURS, "HNSW8", "IVF8,SQ8"])
def test_a_file_is_the_same_for_the_same_index(what: str, tmp_path: Path) -> None:
    index = build(what)
    index.save(tmp_path / "x")
    opened(tmp_path / "x").save(tmp_path / "y")
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


@pytest.mark.parametrize(
    ("string", "part"),
    [
        ("IDMap,Flat", "IndexIDMap"),
        ("LSH", "IndexLSH"),
        ("NSG8", "IndexNSGFlat"),
        ("HNSW8,PQ4", "IndexHNSWPQ"),
        ("IVF8(IVF4,Flat),Flat", "IndexIVFFlat in IndexIVFFlat"),
        ("L2norm,Flat", "IndexPreTransform of this make"),
        ("SQ8_direct", "IndexScalarQuantizer of this make"),
        ("PQ8x4fs_64", "IndexPQFastScan of this make"),
        ("HNSW1", "IndexHNSWFlat of this make"),
        ("IVF8,RaBitQ", "IndexIVFRaBitQ"),
        ("IVF8,PQ4+4", "IndexIVFPQR"),
    ],
)
def test_what_cannot_be_kept_is_not_built(string: str, part: str) -> None:
    with pytest.raises(IndexUnsupported, match=f"FAISS's {part} cannot be kept in a gallery there; take a string of PCA, OPQ,"):
        empty_index(string, 16)


def set_(place: object, value: object) -> Callable[[dict[str, Any], dict[str, np.ndarray]], None]:
    """A change of one place in every array whose name has this ending, or of a setting."""

    def change(settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        if isinstance(place, str):
            settings[place] = value
            return
        ending, at = place  # type: ignore[misc]
        for name in (name for name in arrays if name.endswith(ending)):
            arrays[name][at] = value

    return change


def other(ending: str, make: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, Any], dict[str, np.ndarray]], None]:
    """A change of the arrays whose name has this ending."""

    def change(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        arrays.update({name: make(array) for name, array in arrays.items() if name.endswith(ending)})

    return change


def without(ending: str) -> Callable[[dict[str, Any], dict[str, np.ndarray]], None]:
    def change(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        for name in [name for name in arrays if name.endswith(ending)]:
            del arrays[name]

    return change


def in_ivf(*layout: object) -> Callable[[dict[str, Any], dict[str, np.ndarray]], None]:
    return set_("layout", list(layout))


IMPOSSIBLE = {
    "infinite": ("ivf", set_(("matrix0", (0, 0)), np.inf), "matrix0 of IndexPreTransform holds values that are not finite"),
    "no number": ("flat-codes", set_(("centroids", (1, 1, 1)), np.nan), "centroids of IndexPQFastScan holds values that are not"),
    "overflowing": ("ivf", set_(("0.vectors", (0, 0)), 1e30), "vectors of IndexFlat holds values that are not finite, or above"),
    "a turn into another space": (
        "ivf",
        other("matrix0", lambda a: a[:, :-1]),
        r"shape \(\d+, 15\), expected <f4 of \('any', 16",
    ),
    "a turn of no dimension": ("ivf", other("matrix0", lambda a: a[:0]), "matrix0 of IndexPreTransform is"),
    "other centroids": ("flat-codes", other("centroids", lambda a: a[:-1]), r"has \d+ parts of 16 centroids, 2 wide, for"),
    "half the centroids": ("flat-codes", other("centroids", lambda a: a[:, :8]), "expected <f4 of"),
    "no power of two": ("PQ4x4", other("centroids", lambda a: a[:, :9]), "4 parts of 9 centroids"),
    "codes cut off": ("flat-codes", other("blocks", lambda a: a[:-1]), "blocks of IndexPQFastScan is"),
    "too many codes": ("PQ4x4", other("codes", lambda a: np.repeat(a, 2, 0)), "codes of IndexPQ is"),
    "codes of another type": ("PQ4x4", other("codes", lambda a: a.astype("<i4")), "codes of IndexPQ is <i4"),
    "no codes": ("PQ4x4", without("codes"), "IndexPQ lacks the array codes"),
    "a row that is none": ("ivf", set_(("rows", 0), 1100), "do not hold each of 1100 rows once"),
    "a row far off": ("ivf", set_(("rows", 0), 1 << 62), "do not hold each of 1100 rows once"),
    "a row before the first": ("ivf", set_(("rows", 0), -1), "do not hold each of 1100 rows once"),
    "a row that comes twice": ("ivf", set_(("rows", slice(2)), 7), "do not hold each of 1100 rows once"),
    "a list of less than none": ("ivf", set_(("sizes", 0), -5), "IndexIVFPQFastScan has lists of -5"),
    "an endless list": ("ivf", set_(("sizes", 0), 1 << 62), "lists of .* 4611686018427387904 vectors, for 1100 in all"),
    "a list more": ("ivf", other("sizes", lambda a: np.append(a, 0)), "vectors of IndexFlat is"),
    "no lists": ("ivf", other("sizes", lambda a: a[:0]), "sizes of IndexIVFPQFastScan is"),
    "neither residual nor not": (
        "IVF8,SQ8",
        set_(("residual", 0), 2),
        "residual of IndexIVFScalarQuantizer is 2, expected 0 to 1",
    ),
    "a list of infinite vectors": ("IVF8,Flat", other("codes", lambda a: a | 255), "codes of IndexIVFFlat holds values"),
    "another scalar quantiser": ("SQ8", set_(("type", 0), 5), "IndexScalarQuantizer is of type 5, expected one of"),
    "a scalar quantiser of no type": ("SQ8", set_(("type", 0), 1 << 30), "type of IndexScalarQuantizer is 1073741824"),
    "a scalar quantiser that learnt little": ("SQ8", other("learnt", lambda a: a[1:]), "learnt of IndexScalarQuantizer is"),
    "a link out of the graph": ("HNSW8", set_(("links", 5), 1100), "a graph has links to -1 and 1100"),
    "a link before the graph": ("HNSW8", set_(("links", 5), -2), "a graph has links to -2"),
    "links of a level to one below": ("HNSW8", other("levels", lambda a: np.roll(a, 1)), "a graph has"),
    "a level too high": ("HNSW8", set_(("levels", 3), 1 << 30), "a graph has levels of 1 to 1073741824"),
    "a level below the lowest": ("HNSW8", set_(("levels", 3), 0), "a graph has levels of 0"),
    "links left out": ("HNSW8", other("links", lambda a: a[:-1]), "a graph has .* links, its levels say"),
    "an entry that is none": ("HNSW8", set_(("entry", 0), 1100), "entry of IndexHNSW is 1100, expected 0 to 1099"),
    "links beyond number": ("HNSW8", set_(("degree", 0), 1 << 30), "degree of IndexHNSW is 1073741824, expected 2 to 4096"),
    "other links": ("HNSW8", set_(("degree", 0), 9), "a graph has .* links, its levels say"),
    "another layout": ("ivf", in_ivf("IndexPreTransform", ["IndexHNSW", ["IndexFlat"]]), "it is no ivf index"),
    "an unknown part": ("SQ8", in_ivf("IndexPreTransform", ["IndexIDMap"]), "it has a part IndexIDMap, where only IndexFlat, "),
    "a part too many": ("SQ8", in_ivf("IndexPreTransform", ["IndexFlat", ["IndexFlat"]]), "it has a part IndexFlat of 1 parts"),
    "a graph of a graph": (
        "HNSW8",
        in_ivf("IndexPreTransform", ["IndexHNSW", ["IndexHNSW", ["IndexFlat"]]]),
        "it has a part IndexHNSW in IndexHNSW",
    ),
    "a layout of numbers": ("SQ8", in_ivf("IndexPreTransform", [[]]), r"it has a part \[\]"),
    "no layout": ("SQ8", set_("layout", None), "it is no factory index"),
    "no turn around it": ("SQ8", in_ivf("IndexScalarQuantizer"), "it is no factory index"),
    "no effort": ("ivf", set_("effort", {"visits": 0, "shortlist": 5}), "it spends 0 visits and a shortlist of 5"),
    "words for effort": ("ivf", set_("effort", {"visits": 3, "shortlist": "x"}), "a shortlist of x"),
    "effort of another kind": ("ivf", set_("effort", {"visits": 3}), "no index can be made of it"),
    "what no index is made with": ("ivf", set_("color", "red"), "no index can be made of it"),
}


@pytest.mark.parametrize(("what", "change", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_what_cannot_be_is_refused(what: str, change: Callable[..., None], message: str, tmp_path: Path) -> None:
    build(what).save(tmp_path / "x")
    rewritten(tmp_path / "x", change)
    with pytest.raises(IndexFileError, match=message) as refused:
        load_index(tmp_path / "x", VECTORS)
    assert str(refused.value).startswith(str(tmp_path / "x"))
    assert "\n" not in str(refused.value)


def test_parts_in_parts_without_end(tmp_path: Path) -> None:
    build("SQ8").save(tmp_path / "x")
    deep: list[Any] = ["IndexFlat"]
    for _ in range(400):
        deep = ["IndexPreTransform", deep]
    rewritten(tmp_path / "x", set_("layout", deep))
    with pytest.raises(IndexFileError, match="it has a part IndexPreTransform"):
        load_index(tmp_path / "x", VECTORS)
    (tmp_path / "x").write_bytes(b"onek index 2\n" + b"[" * 100_000 + b"\n")
    with pytest.raises(IndexFileError, match="header is damaged"):
        load_index(tmp_path / "x", VECTORS)


@pytest.mark.parametrize("name", ["kind", "arrays"])
def test_a_header_that_lacks_something_is_damaged(name: str, tmp_path: Path) -> None:
    build("PQ4x4").save(tmp_path / "x")
    header(tmp_path / "x", **{name: None})
    with pytest.raises(IndexFileError, match="its header is damaged"):
        load_index(tmp_path / "x", VECTORS)


@pytest.mark.parametrize(
    "array",
    [
        ["codes", "|u1", [1 << 60]],
        ["codes", "<f4", [1 << 40, 1 << 40, 1 << 40]],
        ["codes", "<f4", [-(1 << 60)]],
        ["codes", "<f4", [True]],
        ["codes", "<f4", [1.5]],
        ["codes", "<f4", 3],
        ["codes", "|O", [3]],
        ["codes", "<f4,<i4", [3]],
        ["codes", "<f4", [1, 1, 1, 1]],
        [3, "<f4", [1]],
        ["codes"],
        None,
    ],
)
def test_arrays_of_impossible_sizes_are_refused_unread(array: Any, tmp_path: Path) -> None:
    build("PQ4x4").save(tmp_path / "x")
    header(tmp_path / "x", arrays=[array])
    with pytest.raises(IndexFileError, match="behind the header|its header is damaged"):
        load_index(tmp_path / "x", VECTORS)


@pytest.mark.parametrize("name", [*FAISS, "on disk"])
def test_bytes_of_faiss_are_never_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    data = on_disk(victim, VECTORS, tmp_path / "scratch") if name == "on disk" else faiss_bytes(name, VECTORS)
    victim.write_bytes(b"dear diary" * 20_000)

    def refuse(*_: object) -> None:
        raise AssertionError("FAISS was given bytes")

    for reader in ("read_index", "deserialize_index", "read_index_binary", "read_InvertedLists", "read_VectorTransform"):
        monkeypatch.setattr(faiss, reader, refuse)
    (tmp_path / "raw").write_bytes(data)
    former(tmp_path / "former", "factory", data, effort={"visits": 1, "shortlist": 9}, factory="IVF4,Flat")
    build("IVF8,SQ8").save(tmp_path / "array")
    rewritten(tmp_path / "array", other("codes", lambda _: np.frombuffer(data, np.uint8)))
    for path, message in (
        ("raw", "not an index file of onek"),
        ("former", "an index file of format 1; this onek reads formats 2 and 3, so have it made anew"),
        ("array", "codes of IndexIVFScalarQuantizer is"),
    ):
        with pytest.raises(IndexFileError, match=message):
            load_index(tmp_path / path, VECTORS)
    assert victim.read_bytes() == b"dear diary" * 20_000


def test_vectors_of_no_row_or_dimension(tmp_path: Path) -> None:
    build("SQ8").save(tmp_path / "x")
    for shape in ((0, 16), (1100, 0)):
        np.save(tmp_path / "v.npy", np.empty(shape, np.float32))
        with pytest.raises(IndexFileError, match="expected some"):
            load_index(tmp_path / "x", open_vectors(tmp_path / "v.npy"))
