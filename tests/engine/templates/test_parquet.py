from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import EncoderMismatch, TemplatesError
from engine.templates.model import Templates, batch, schema
from engine.templates.parquet import ROW_GROUP, TemplateWriter, is_template_file, read_templates, stream_templates
from engine.templates.provenance import Provenance

MADE = Provenance("net", "f" * 64, 4, True, "aligned", None, 0.5)
VECTORS = np.array([[3.0, 4, 0, 0], [0, 0, 0, 2], [1, 1, 1, 1]])
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)


def write(path: Path, made: Provenance = MADE, vectors: np.ndarray = UNIT) -> Path:
    with TemplateWriter(path, made) as writer:
        writer.write(batch(made, [f"{path.stem}{row}" for row in range(len(vectors))], ["a", "b", None][: len(vectors)], vectors))
    return path


def test_the_contract(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet")
    found = pq.read_schema(path)
    assert [(field.name, str(field.type)) for field in found] == [
        ("template_id", "string"),
        ("identity", "string"),
        ("source", "string"),
        ("face", "int32"),
        ("box", "fixed_size_list<element: float>[4]"),
        ("quality", "float"),
        ("detection", "float"),
        ("reasons", "string"),
        ("vector", "fixed_size_list<element: float>[4]"),
    ]
    assert found.metadata[b"onek.format"] == b"2"
    assert found.metadata[b"onek.encoder"] == b"net"
    assert found.metadata[b"onek.fingerprint"] == b"f" * 64
    assert found.metadata[b"onek.dim"] == b"4"


def test_what_was_written_is_read_bit_for_bit(tmp_path: Path) -> None:
    templates = read_templates(write(tmp_path / "t.parquet"))
    assert templates.provenance == MADE
    assert templates.table["identity"].to_pylist() == ["a", "b", None]
    assert templates.vectors.flags.c_contiguous
    np.testing.assert_array_equal(templates.vectors, UNIT.astype(np.float32))


def test_row_groups_are_bounded_and_streamed(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    vectors = np.tile(UNIT[:1], (50_000, 1))
    with TemplateWriter(path, MADE) as writer:
        for part in range(3):
            writer.write(batch(MADE, [f"{part}-{row}" for row in range(50_000)], None, vectors))
    file = pq.ParquetFile(path)
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sum(groups) == 150_000
    assert max(groups) <= ROW_GROUP
    assert max(len(part) for part in stream_templates(path, 40_000)) <= 40_000
    assert sum(len(part) for part in stream_templates(path, 40_000)) == 150_000


def test_what_was_read_is_not_kept(tmp_path: Path) -> None:
    made, vectors = Provenance.foreign(64), np.zeros((1000, 64), np.float32)
    vectors[:, 0] = 1
    with TemplateWriter(tmp_path / "t.parquet", made) as writer:
        for part in range(16):
            writer.write(batch(made, [f"{part}-{row}" for row in range(1000)], None, vectors))
            writer._flush()  # a row group each
    before = pa.total_allocated_bytes()
    for part in stream_templates(tmp_path / "t.parquet", 1000):
        assert len(part) == 1000
        assert pa.total_allocated_bytes() - before < 8 * vectors.nbytes


FOREIGN: dict[str, Callable[[Path], Any]] = {
    "fixed.parquet": lambda p: pq.write_table(pa.table({"embedding": pa.array(VECTORS.tolist(), pa.list_(pa.float64(), 4))}), p),
    "variable.parquet": lambda p: pq.write_table(pa.table({"vector": pa.array(VECTORS.tolist(), pa.list_(pa.float32()))}), p),
    "large.parquet": lambda p: pq.write_table(pa.table({"vector": pa.array(VECTORS.tolist(), pa.large_list(pa.float32()))}), p),
    "half.npy": lambda p: np.save(p, VECTORS.astype(np.float16)),
    "wide.npy": lambda p: np.save(p, VECTORS),
    "fortran.npy": lambda p: np.save(p, np.asfortranarray(VECTORS.astype(np.float32))),
    "archive.npz": lambda p: np.savez(p, embedding=VECTORS),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_from_elsewhere_are_normalised(tmp_path: Path, name: str) -> None:
    FOREIGN[name](tmp_path / name)
    assert is_template_file(tmp_path / name)
    templates = read_templates(tmp_path / name)
    np.testing.assert_allclose(templates.vectors, UNIT, atol=1e-3 if "half" in name else 1e-6)
    assert templates.vectors.dtype == np.float32
    assert templates.provenance == Provenance.foreign(4)
    assert templates.table["source"].to_pylist() == [f"{name}:{row}" for row in range(3)]
    (tmp_path / "other").mkdir()
    moved = (tmp_path / name).rename(tmp_path / "other" / f"moved-{name}")
    assert read_templates(moved).table["template_id"].equals(templates.table["template_id"])
    assert len(set(templates.table["template_id"].to_pylist())) == 3


def test_lists_of_photographs_are_no_templates(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a.jpg"], "identity": ["a"]}), tmp_path / "list.parquet")
    pq.write_table(pa.table({"path": ["a.jpg"], "embedding": [[1.0, 2.0]]}), tmp_path / "vectors.parquet")
    assert not is_template_file(tmp_path / "list.parquet")
    assert is_template_file(tmp_path / "vectors.parquet")
    assert not is_template_file(tmp_path / "photo.jpg")


def test_labels_from_elsewhere_are_kept(tmp_path: Path) -> None:
    table = pa.table({"vector": VECTORS.tolist(), "identity": ["x", "y", None], "template_id": [7, 8, 9]})
    pq.write_table(table, tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", vector=VECTORS, identity=np.array(["x", "y", "z"]))
    read = read_templates(tmp_path / "t.parquet").table
    assert read["identity"].to_pylist() == ["x", "y", None]
    assert read["template_id"].to_pylist() == ["7", "8", "9"]
    assert read_templates(tmp_path / "t.npz").table["identity"].to_pylist() == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[1.0, 0], [0, 0]], r"row 1 holds a zero vector"),
        ([[1.0, 0], [1, 0], [np.nan, 1]], r"row 2 holds NaN or infinity"),
        ([[np.inf, 0.0]], r"row 0 holds NaN or infinity"),
        ([[1.0, 0], [1, 0, 0]], r"row 1 has 3 dimensions, expected 2"),
        ([[1.0, 0], None], r"vector in row 1 is null; expected a vector in each row"),
        ([[1.0, None]], r"row 0 has an empty place"),
    ],
)
def test_bad_vectors_are_named_by_file_and_row(tmp_path: Path, vectors: list[Any], message: str) -> None:
    pq.write_table(pa.table({"vector": pa.array(vectors, pa.list_(pa.float64()))}), tmp_path / "bad.parquet")
    with pytest.raises(TemplatesError, match=r"bad\.parquet.*" + message):
        read_templates(tmp_path / "bad.parquet")


def test_bad_rows_are_counted_over_the_whole_file(tmp_path: Path) -> None:
    vectors = np.ones((5000, 4))
    vectors[4321] = 0
    np.save(tmp_path / "bad.npy", vectors)
    with pytest.raises(TemplatesError, match="row 4321 holds a zero vector"):
        list(stream_templates(tmp_path / "bad.npy", 1000))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.parquet", None, "no such template file"),
        ("x.txt", b"", r"expected templates as \.parquet"),
        ("x.parquet", b"PAR1 but not really", "not a Parquet file"),
        ("x.npy", b"no numpy", "not a NumPy file"),
        ("x.npz", b"no zip", "not a NumPy file"),
    ],
)
def test_files_that_are_no_templates(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TemplatesError, match=message):
        read_templates(tmp_path / name)


def test_tables_without_usable_vectors(tmp_path: Path) -> None:
    for table, message in (
        (pa.table({"a": [1], "b": [2]}), "found the columns a, b; expected one of vectors, called vector or embedding"),
        (pa.table({"vector": [1.0]}), "the column vector is double"),
        (pa.table({"vector": [[1, 2]]}), r"list<element: int64>"),
        (pa.table({"vector": pa.array([], pa.list_(pa.float32()))}), "no rows"),
    ):
        pq.write_table(table, tmp_path / "t.parquet")
        with pytest.raises(TemplatesError, match=message):
            read_templates(tmp_path / "t.parquet")
    np.save(tmp_path / "ints.npy", np.ones((2, 3), int))
    with pytest.raises(TemplatesError, match="int64, expected floats"):
        read_templates(tmp_path / "ints.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, []], object), allow_pickle=True)
    with pytest.raises(TemplatesError, match="not a NumPy file of numbers"):
        read_templates(tmp_path / "objects.npy")


def test_our_own_files_must_hold_unit_vectors(tmp_path: Path) -> None:
    with pytest.raises(TemplatesError, match=r"t\.parquet: the vector in row 1 has the norm 2, expected 1"):
        read_templates(write(tmp_path / "t.parquet", vectors=np.array([UNIT[0], VECTORS[1], 3 * UNIT[2]])))


def test_a_newer_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "t.parquet"))
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"onek.format": b"3"}), tmp_path / "t.parquet")
    with pytest.raises(TemplatesError, match="template format 3; this onek reads formats 1 and 2"):
        read_templates(tmp_path / "t.parquet")


def test_several_files_must_be_made_alike(tmp_path: Path) -> None:
    one = write(tmp_path / "one.parquet")
    assert len(read_templates(one, write(tmp_path / "two.parquet"))) == 6
    other = write(tmp_path / "other.parquet", Provenance("other", "0" * 64, 4))
    with pytest.raises(EncoderMismatch, match=r"one\.parquet was made by net .*other\.parquet by other"):
        read_templates(one, other)
    wide = write(tmp_path / "wide.parquet", Provenance("wide", "1" * 64, 5), np.eye(5)[:3])
    with pytest.raises(EncoderMismatch, match="holds 4 dimensions, .* 5"):
        read_templates(one, wide)
    np.save(tmp_path / "x.npy", VECTORS)
    with pytest.raises(EncoderMismatch, match="not named"):
        read_templates(one, tmp_path / "x.npy")
    with pytest.raises(TemplatesError, match="no template file"):
        read_templates()


def test_from_vectors() -> None:
    templates = Templates.from_vectors(VECTORS, ["a", "b", "c"])
    np.testing.assert_allclose(templates.vectors, UNIT, atol=1e-6)
    assert templates.table.schema.equals(schema(Provenance.foreign(4)))
    with pytest.raises(TemplatesError, match="3 vectors, but 1 identities"):
        Templates.from_vectors(VECTORS, ["a"])
    with pytest.raises(TemplatesError, match="row 0 holds a zero"):
        Templates.from_vectors(np.zeros((1, 4)))


def test_vectors_that_nobody_labelled_are_called_after_their_rows() -> None:
    """Where somebody said who they are, or what they are called, that is what they are called."""
    assert Templates.from_vectors(VECTORS).table["source"].to_pylist() == ["vectors:0", "vectors:1", "vectors:2"]
    for labels in ({"identities": ["a", "b", "c"]}, {"template_ids": ["x", "y", "z"]}):
        assert Templates.from_vectors(VECTORS, **labels).table["source"].null_count == 3
    one = Templates.from_vectors(VECTORS[0], "a", "x", MADE)
    assert (len(one), one.provenance, one.table["template_id"].to_pylist()) == (1, MADE, ["x"])


def test_how_many_rows_are_bad() -> None:
    with pytest.raises(TemplatesError, match=r"row 1 holds a zero vector; .* not all zero$"):
        Templates.from_vectors(np.array([[1.0, 0], [0, 0]]))
    with pytest.raises(TemplatesError, match=r"row 1 holds NaN .* not all zero \(2 such rows in this part\)$"):
        Templates.from_vectors(np.array([[1.0, 0], [np.nan, 0], [0, 0]]))


def test_vectors_as_large_and_as_small_as_numbers_get() -> None:
    """Their squares would be infinite, or nothing."""
    told = Templates.from_vectors(np.array([[3e200, 4e200], [3e-200, -4e-200], [-3e300, 4e-300]]))
    np.testing.assert_allclose(told.vectors, [[0.6, 0.8], [0.6, -0.8], [-1, 0]], atol=1e-6)
