"""Vectors in every file that people have them in: each is read right, whatever the batches, or refused in a line that names file,
column and row.
"""

import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.errors import TemplatesError
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates
from engine.templates.parquet import TemplateFile, read_templates, stream_templates
from engine.workflows.named_vectors import named

COUNT, DIM = 23, 6
LENGTHY = np.random.default_rng(1).normal(size=(COUNT, DIM)).astype(np.float32)
X = LENGTHY / np.linalg.norm(LENGTHY, axis=1, keepdims=True)
NAMES = [f"p{number:02d}" for number in range(COUNT)]
FLOATS = {"float16": pa.float16(), "float32": pa.float32(), "float64": pa.float64()}
# As much as half precision keeps of a number.
CLOSE = {"float16": 1e-3, "float32": 1e-6, "float64": 1e-6}


def lists(kind: str = "float32", values: Any = X, of: Callable[..., pa.DataType] = pa.list_) -> pa.Array:
    return pa.array([None if row is None else list(np.asarray(row, kind)) for row in values], of(FLOATS[kind]))


def fixed(kind: str = "float32", values: Any = X) -> pa.Array:
    return pa.array([None if row is None else list(np.asarray(row, kind)) for row in values], pa.list_(FLOATS[kind], DIM))


def changed(row: int, value: Any) -> list[Any]:
    return [value if number == row else each for number, each in enumerate(X)]


def tensor() -> pa.Array:
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), [DIM]), fixed())


def table(vector: pa.Array | None = None, **columns: Any) -> pa.Table:
    return pa.table({"identity": NAMES, **columns, "vector": fixed() if vector is None else vector})


READ: dict[str, Callable[[], pa.Table]] = {
    **{f"lists of {kind}": lambda kind=kind: table(lists(kind)) for kind in FLOATS},
    **{f"fixed lists of {kind}": lambda kind=kind: table(fixed(kind)) for kind in FLOATS},
    "large lists": lambda: table(lists(of=pa.large_list)),
    "list views": lambda: table(lists(of=pa.list_view)),
    "tensors": lambda: table(tensor()),
    "vectors of any length": lambda: table(lists(values=X * 1000)),
    "a tiny vector": lambda: table(
        lists("float64", [row * 1e-200 if at == 3 else row for at, row in enumerate(X.astype(float))])
    ),
    "a huge vector": lambda: table(lists("float64", [row * 1e200 if at == 3 else row for at, row in enumerate(X.astype(float))])),
    "names in a dictionary": lambda: table(identity=pa.array(NAMES).dictionary_encode()),
    "large names": lambda: table(identity=pa.array(NAMES, pa.large_string())),
    "names as bytes": lambda: table(identity=pa.array([name.encode() for name in NAMES], pa.binary())),
    "columns of others": lambda: table(score=[[1]] * COUNT, path=NAMES, __index_level_0__=range(COUNT)),
    "called embedding": lambda: table().rename_columns(["identity", "embedding"]),
}


@pytest.mark.parametrize("name", READ)
def test_parquet_files_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "v.parquet"
    pq.write_table(READ[name](), path, row_group_size=7)
    close = next((close for kind, close in CLOSE.items() if kind in name), 1e-6)
    for rows in (5, 7, 1000):
        parts = list(stream_templates(path, rows))
        assert sum(map(len, parts)) == COUNT == TemplateFile(path).count()
        read = Templates(pa.concat_tables([part.table for part in parts]), parts[0].provenance)
        np.testing.assert_allclose(read.vectors, X, atol=close)
        assert read.table["identity"].to_pylist() == NAMES
        # What has no id is called after where it stands in the whole file.
        assert len(set(read.table["template_id"].to_pylist())) == COUNT
    if len(parts) == 1:
        assert len({str(part) for part in read_templates(path).table["template_id"].to_pylist()}) == COUNT


@pytest.mark.parametrize(
    ("values", "said"),
    [(range(COUNT), [str(number) for number in range(COUNT)]), ([2**63 - 1] * COUNT, [str(2**63 - 1)] * COUNT)],
)
def test_whole_numbers_are_names(tmp_path: Path, values: Any, said: list[str]) -> None:
    pq.write_table(table(identity=pa.array(values, pa.int64())), tmp_path / "v.parquet")
    assert read_templates(tmp_path / "v.parquet").table["identity"].to_pylist() == said


def test_rows_are_named_alike_whatever_the_batches(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    pq.write_table(table(), path, row_group_size=4)
    named = [[each.as_py() for part in stream_templates(path, rows) for each in part.table["template_id"]] for rows in (5, 100)]
    assert named[0] == named[1]
    np.save(tmp_path / "v.npy", X)
    named = [
        [each.as_py() for part in stream_templates(tmp_path / "v.npy", rows) for each in part.table["template_id"]]
        for rows in (5, 100)
    ]
    assert named[0] == named[1]
    assert len(set(named[0])) == COUNT


REFUSED: dict[str, tuple[Callable[[], pa.Table], str]] = {
    "lists of int8": (
        lambda: table(pa.array((X * 127).astype("i1").tolist(), pa.list_(pa.int8()))),
        "the column vector holds whole numbers (list<element: int8>), expected lists of float16, float32 or float64; only",
    ),
    "lists of lists": (lambda: table(pa.array([[row.tolist()] for row in X])), "the column vector is list<element: list<"),
    "structs": (lambda: table(pa.array([{"v": row.tolist()} for row in X])), "the column vector is struct<v: list<"),
    "bytes": (lambda: table(pa.array([row.tobytes() for row in X])), "the column vector is binary, expected lists of float16"),
    "text": (lambda: table(pa.array([str(row.tolist()) for row in X])), "the column vector is string, expected lists of"),
    "decimals": (
        lambda: table(pa.array([[decimal.Decimal("0.5")] * DIM] * COUNT, pa.list_(pa.decimal128(10, 6)))),
        "the column vector is list<element: decimal128(10, 6)>, expected lists of",
    ),
    "single numbers": (lambda: table(pa.array(X[:, 0])), "the column vector is float, expected lists of"),
    "the first null": (lambda: table(lists(values=changed(0, None))), "vector in row 0 is null; expected a vector in each row"),
    "a later one null": (lambda: table(lists(values=changed(17, None))), "vector in row 17 is null"),
    "a fixed one null": (lambda: table(fixed(values=changed(17, None))), "vector in row 17 is null"),
    "a large one null": (lambda: table(lists(values=changed(17, None), of=pa.large_list)), "vector in row 17 is null"),
    "all null": (lambda: table(lists(values=[None] * COUNT)), "vector in row 0 is null"),
    "the first empty": (lambda: table(lists(values=changed(0, []))), "vector in row 0 has no dimensions"),
    "a later one empty": (
        lambda: table(lists(values=changed(17, []))),
        "vector in row 17 has 0 dimensions, expected 6 as in the",
    ),
    "all empty": (lambda: table(lists(values=[[]] * COUNT)), "vector in row 0 has no dimensions"),
    "a short one": (
        lambda: table(lists(values=changed(17, X[17, :4]))),
        "vector in row 17 has 4 dimensions, expected 6 as in the",
    ),
    "a place left out": (
        lambda: table(
            pa.array([[*row.tolist()[:5], None if at in (17, 19) else 1.0] for at, row in enumerate(X)], pa.list_(pa.float32()))
        ),
        "vector in row 17 has an empty place, expected 6 numbers",
    ),
    "NaN": (lambda: table(lists(values=changed(17, [np.nan] * DIM))), "row 17 holds NaN or infinity in the vector"),
    "infinity": (lambda: table(lists(values=changed(17, [np.inf] * DIM))), "row 17 holds NaN or infinity in the vector"),
    "zero": (lambda: table(lists(values=changed(17, [0.0] * DIM))), "row 17 holds a zero vector"),
    "names as floats": (
        lambda: table(identity=np.arange(COUNT) + 0.5),
        "the column identity holds double, expected text or whole",
    ),
    "names as lists": (lambda: table(identity=[[name] for name in NAMES]), "the column identity holds list<"),
    "names as dates": (
        lambda: table(identity=np.arange(COUNT).astype("M8[D]")),
        "the column identity holds date32[day], expected",
    ),
    "names as truth": (lambda: table(identity=[True] * COUNT), "the column identity holds bool, expected text or whole numbers"),
    "names that are no text": (
        lambda: table(identity=pa.array([b"\xff" if at == 17 else b"x" for at in range(COUNT)])),
        "identity in row 17 is b'\\xff', which is not UTF-8; expected text",
    ),
    "an id left out": (
        lambda: table(template_id=[None if at == 17 else str(at) for at in range(COUNT)]),
        "template_id in row 17 is empty; expected one for each row, or no such column",
    ),
    "an empty id": (
        lambda: table(template_id=["" if at == 17 else str(at) for at in range(COUNT)]),
        "template_id in row 17 is empty",
    ),
    "sources as lists": (lambda: table(source=[[name] for name in NAMES]), "the column source holds list<"),
    "two columns of one name": (
        lambda: pa.table([pa.array(NAMES), fixed(), fixed()], names=["identity", "vector", "vector"]),
        "found 2 columns of vectors, vector and vector; expected one",
    ),
    "two columns of vectors": (
        lambda: table(embedding=fixed()),
        "found 2 columns of vectors, embedding and vector; expected one",
    ),
    "two columns of names": (
        lambda: pa.table([pa.array(NAMES), pa.array(NAMES), fixed()], names=["identity", "identity", "vector"]),
        "found 2 columns called identity; expected one",
    ),
    "another word": (
        lambda: table().rename_columns(["identity", "Vector"]),
        "found the columns identity, Vector; expected one of vectors, called vector or embedding",
    ),
    "no rows": (lambda: table().slice(0, 0), "no rows in it; expected at least one vector"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_parquet_files_are_refused_in_a_line(tmp_path: Path, name: str) -> None:
    build, message = REFUSED[name]
    path = tmp_path / "v.parquet"
    pq.write_table(build(), path, row_group_size=7)
    for rows in (5, 1000):
        with pytest.raises(TemplatesError) as caught:
            list(stream_templates(path, rows))
        assert str(caught.value).startswith(f"{path}: ")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def saved(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


NUMPY: dict[str, tuple[str, Callable[[Path], object], float]] = {
    **{f".npy of {kind}": ("v.npy", lambda path, kind=kind: np.save(path, X.astype(kind)), CLOSE[kind]) for kind in FLOATS},
    "big-endian": ("v.npy", lambda path: np.save(path, X.astype(">f4")), 1e-6),
    "columns first": ("v.npy", lambda path: np.save(path, np.asfortranarray(X)), 1e-6),
    "long double": ("v.npy", lambda path: np.save(path, X.astype(np.longdouble)), 1e-6),
    "an archive": ("v.npz", lambda path: saved(path, vector=X), 1e-6),
    "an archive, compressed": ("v.npz", lambda path: np.savez_compressed(path, embedding=X, identity=np.array(NAMES)), 1e-6),
    "names as bytes": ("v.npz", lambda path: saved(path, vector=X, identity=np.array([each.encode() for each in NAMES])), 1e-6),
    "names as text": ("v.npz", lambda path: saved(path, vector=X, identity=np.array(NAMES)), 1e-6),
}


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_files_are_read(tmp_path: Path, name: str) -> None:
    file, write, close = NUMPY[name]
    write(tmp_path / file)
    for rows in (5, 1000):
        parts = list(stream_templates(tmp_path / file, rows))
        np.testing.assert_allclose(np.concatenate([part.vectors for part in parts]), X, atol=close)
        if "names" in name or "compressed" in name:
            assert [each.as_py() for part in parts for each in part.table["identity"]] == NAMES


FLOATS_EXPECTED = "found an array of shape {} and type {}, expected floats (n, d)"
NUMPY_REFUSED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "whole numbers": ("v.npy", lambda path: np.save(path, (X * 127).astype("i1")), FLOATS_EXPECTED.format((COUNT, DIM), "int8")),
    "one vector": ("v.npy", lambda path: np.save(path, X[0]), FLOATS_EXPECTED.format((DIM,), "float32")),
    "three axes": ("v.npy", lambda path: np.save(path, X[:, None]), FLOATS_EXPECTED.format((COUNT, 1, DIM), "float32")),
    "complex numbers": ("v.npy", lambda path: np.save(path, X.astype("c8")), FLOATS_EXPECTED.format((COUNT, DIM), "complex64")),
    "one number": ("v.npy", lambda path: np.save(path, np.float32(1)), FLOATS_EXPECTED.format((), "float32")),
    "no dimensions": ("v.npy", lambda path: np.save(path, X[:, :0]), FLOATS_EXPECTED.format((COUNT, 0), "float32")),
    "no rows": ("v.npy", lambda path: np.save(path, X[:0]), "no rows in it; expected at least one vector"),
    "objects": ("v.npy", lambda path: np.save(path, X.astype(object), allow_pickle=True), "not a NumPy file of numbers and text"),
    "nothing": ("v.npy", lambda path: path.write_bytes(b""), "not a NumPy file of numbers and text"),
    "no archive": ("v.npz", lambda path: path.write_bytes(b"PK\x03\x04"), "not a NumPy file of numbers and text"),
    "no word for it": (
        "v.npz",
        lambda path: np.savez(path, X, np.array(NAMES)),
        "found the columns arr_0, arr_1; expected one of",
    ),
    "two of vectors": (
        "v.npz",
        lambda path: saved(path, vector=X, embedding=X),
        "found 2 columns of vectors, vector and embedding",
    ),
    "names as floats": (
        "v.npz",
        lambda path: saved(path, vector=X, identity=np.arange(float(COUNT))),
        "identity has the shape (23,) and holds float64, expected text or whole numbers (n,)",
    ),
    "names of two axes": (
        "v.npz",
        lambda path: saved(path, vector=X, identity=np.array(NAMES)[:, None]),
        "identity has the shape (23, 1)",
    ),
    "one name": (
        "v.npz",
        lambda path: saved(path, vector=X, identity=np.array("anna")),
        "identity has the shape () and holds <U4",
    ),
    "names as objects": (
        "v.npz",
        lambda path: saved(path, vector=X, identity=np.array(NAMES, object)),
        "not a NumPy file of numbers and text: Object arrays cannot be loaded",
    ),
    "too few names": ("v.npz", lambda path: saved(path, vector=X, identity=np.array(NAMES[:5])), "23 vectors, but 5 in identity"),
    "names that are no text": (
        "v.npz",
        lambda path: saved(path, vector=X, identity=np.array([b"\xff" if at == 17 else b"x" for at in range(COUNT)])),
        "identity in row 17 is b'\\xff', which is not UTF-8; expected text",
    ),
    "an empty id": (
        "v.npz",
        lambda path: saved(path, vector=X, template_id=np.array(["" if at == 17 else str(at) for at in range(COUNT)])),
        "template_id in row 17 is empty",
    ),
}


@pytest.mark.parametrize("name", NUMPY_REFUSED)
def test_numpy_files_are_refused_in_a_line(tmp_path: Path, name: str) -> None:
    file, write, message = NUMPY_REFUSED[name]
    write(tmp_path / file)
    for rows in (5, 1000):
        with pytest.raises(TemplatesError) as caught:
            list(stream_templates(tmp_path / file, rows))
        assert str(caught.value).startswith(f"{tmp_path / file}: ")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_folders_and_other_files(tmp_path: Path) -> None:
    (tmp_path / "identity=p0").mkdir()
    (tmp_path / "v.csv").write_text("identity,vector\n")
    (tmp_path / "v.parquet").write_text("identity,vector\n")
    for name, message in (
        ("identity=p0", "is a folder; expected a template file"),
        ("v.csv", "expected templates as .parquet, .npy or .npz"),
        ("v.parquet", "not a Parquet file"),
        ("gone.npy", "no such template file"),
    ):
        with pytest.raises(TemplatesError, match=message):
            read_templates(tmp_path / name)


def test_a_gallery_of_arrays_and_a_list_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", X[:20])
    np.savez("b.npz", vector=X[20:])
    Path("names.txt").write_text("Sandler, Adam\n" + "\n".join(NAMES[1:]) + "\n")
    pq.write_table(pa.table({"file": NAMES, "name": ["Sandler, Adam", *NAMES[1:]]}), "names.parquet")
    run = CliRunner().invoke
    for names in ("names.txt", "names.parquet"):
        built = run(app, ["build-index", "a.npy", "b.npz", "--names", names, "--out", "g", "--overwrite"])
        assert built.exit_code == 0, built.exception
        assert Gallery.open("g").identify(X, threshold=0.1).table["identity"].to_pylist() == ["Sandler, Adam", *NAMES[1:]]
    np.save("c.npy", -X[:2])
    Path("two.txt").write_text("\nkian\nZoe\u0308\n", encoding="utf-8")
    assert run(app, ["enroll", "c.npy", "--names", "two.txt", "-g", "g"]).exit_code == 0
    assert Gallery.open("g").identify(-X[:2], threshold=0.1).table["identity"].to_pylist() == ["kian", "Zo\u00eb"]


def test_names_that_do_not_fit_the_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", X)
    np.savez("b.npz", vector=X, identity=np.array(NAMES))
    Path("names.txt").write_text("\n".join(NAMES))
    Path("few.txt").write_text("kian\n")
    with pytest.raises(TemplatesError, match=r"--names few\.txt has 1 names for 23 vectors; expected one for each"):
        named([Path("a.npy")], Path("few.txt"))
    with pytest.raises(TemplatesError, match=r"b\.npz says whose its vectors are; leave --names out, or its identities"):
        list(named([Path("b.npz")], Path("names.txt")))
    answer = CliRunner().invoke(app, ["build-index", "a.npy", "-o", "g"])
    assert "has no identity: embed it labelled, say --names, or add such a column" in str(answer.exception)


def test_what_is_long_is_cut_in_messages(tmp_path: Path) -> None:
    """To two hundred characters of columns, and forty bytes of text."""
    pq.write_table(pa.table({f"c{number:04}": [1] for number in range(300)}), tmp_path / "v.parquet")
    shown = ", ".join(f"c{number:04}" for number in range(300))[:200]
    with pytest.raises(TemplatesError, match=f"found the columns {shown}; expected one of vectors"):
        read_templates(tmp_path / "v.parquet")
    pq.write_table(table(identity=[b"\xff" + bytes(range(65, 91)) * 3] * COUNT), tmp_path / "v.parquet")
    with pytest.raises(TemplatesError) as told:
        read_templates(tmp_path / "v.parquet")
    value = b"\xff" + (bytes(range(65, 91)) * 3)[:39]
    assert f"identity in row 0 is {value!r}, which is not UTF-8; expected text" in str(told.value)


def test_the_first_of_several_wrong_rows_is_named(tmp_path: Path) -> None:
    values = [row.tolist() for row in X]
    values[3], values[5] = values[3][:2], values[5][:1]
    pq.write_table(table(lists(values=values)), tmp_path / "v.parquet")
    with pytest.raises(TemplatesError, match="vector in row 3 has 2 dimensions, expected 6 as in the first row"):
        read_templates(tmp_path / "v.parquet")
    values = [row.tolist() for row in X]
    values[3], values[5] = None, None
    pq.write_table(table(lists(values=values)), tmp_path / "v.parquet")
    with pytest.raises(TemplatesError, match="vector in row 3 is null"):
        read_templates(tmp_path / "v.parquet")


@pytest.mark.parametrize("rows", [5, 7, 1000])
def test_rows_are_counted_and_compared_across_batches(tmp_path: Path, rows: int) -> None:
    """A later batch has the dimensions of the first, and its rows the numbers that they have in the file."""
    path = tmp_path / "v.parquet"
    pq.write_table(table(), path, row_group_size=7)
    sources = [each.as_py() for part in stream_templates(path, rows) for each in part.table["source"]]
    assert sources == [f"v.parquet:{row}" for row in range(COUNT)]
    values = [row.tolist() if at < 15 else row.tolist()[:4] for at, row in enumerate(X)]
    pq.write_table(table(lists(values=values)), path, row_group_size=5)
    with pytest.raises(TemplatesError, match="vector in row 15 has 4 dimensions, expected 6 as in the first row"):
        list(stream_templates(path, rows))
