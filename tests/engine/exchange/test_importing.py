"""Templates of other tools come in by the tools' names, whatever their files look like."""

import csv
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from engine import Gallery, read_templates
from engine.cli.app import app
from engine.cli.exchange import _TOOLS
from engine.errors import EncoderMismatch, ListError, OutputError, TemplatesError
from engine.exchange import TOOLS, export_folder, import_templates
from engine.templates.model import Templates

VECTORS = np.random.default_rng(0).normal(size=(4, 8))
LISTS = VECTORS.tolist()
NAMES = ["kian", "kian", "Zoë", "lena"]
UNIT = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype(np.float32)


def written(path: Path, value: object) -> Path:
    if path.suffix in (".pkl", ".pickle"):
        path.write_bytes(pickle.dumps(value))
    else:
        path.write_text(json.dumps(value), encoding="utf-8")
    return path


def sheet(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        lines = csv.DictWriter(stream, list(rows[0]))
        lines.writeheader()
        lines.writerows(rows)
    return path


def deepface(folder: Path) -> Path:
    rows = [
        {"identity": f"db/{name}/{number}.jpg", "hash": "0", "embedding": vector, "target_x": 1}
        for number, (name, vector) in enumerate(zip(NAMES, LISTS, strict=True))
    ]
    return written(folder / "ds_model_facenet.pkl", rows)


def deepface_of_old(folder: Path) -> Path:
    rows = [[f"db\\{name}\\{number}.jpg", vector] for number, (name, vector) in enumerate(zip(NAMES, LISTS, strict=True))]
    return written(folder / "representations.pkl", rows)


def encodings(folder: Path) -> Path:
    return written(folder / "encodings.pickle", {"encodings": list(VECTORS), "names": NAMES})


def encodings_in_arrays(folder: Path) -> Path:
    return written(folder / "encodings.pkl", {"known_face_encodings": VECTORS, "known_face_names": np.array(NAMES)})


def encodings_by_name(folder: Path) -> Path:
    return written(folder / "all.pkl", {"kian": list(VECTORS[:2]), "Zoë": VECTORS[2], "lena": VECTORS[3]})


def compreface(folder: Path) -> Path:
    rows = [
        {"id": f"e{number}", "subject_name": name, "calculator": "facenet", "embedding": "{" + ",".join(map(repr, vector)) + "}"}
        for number, (name, vector) in enumerate(zip(NAMES, LISTS, strict=True))
    ]
    return sheet(folder / "compreface.csv", rows)


def compreface_in_json(folder: Path) -> Path:
    rows = [{"subject_name": name, "embedding": vector} for name, vector in zip(NAMES, LISTS, strict=True)]
    return written(folder / "compreface.json", rows)


def immich(folder: Path) -> Path:
    rows = [
        {"faceId": f"f{number}", "name": name, "originalPath": f"{number}.jpg", "embedding": json.dumps(vector)}
        for number, (name, vector) in enumerate(zip(NAMES, LISTS, strict=True))
    ]
    return sheet(folder / "immich.csv", rows)


def qdrant(folder: Path) -> Path:
    points = [
        {"id": number, "payload": {"name": name, "extra": {"a": 1}}, "vector": {"face": vector}}
        for number, (name, vector) in enumerate(zip(NAMES, LISTS, strict=True))
    ]
    return written(folder / "points.json", {"result": {"points": points, "next_page_offset": None}, "status": "ok"})


def milvus(folder: Path) -> Path:
    pairs = enumerate(zip(NAMES, LISTS, strict=True))
    lines = [json.dumps({"id": number, "name": name, "vector": vector}) for number, (name, vector) in pairs]
    (folder / "rows.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return folder / "rows.jsonl"


def milvus_rows(folder: Path) -> Path:
    return written(
        folder / "rows.json", {"rows": [{"name": name, "vector": vec} for name, vec in zip(NAMES, LISTS, strict=True)]}
    )


def huggingface(folder: Path) -> Path:
    known = sorted(set(NAMES))
    features = {"info": {"features": {"label": {"names": known, "_type": "ClassLabel"}}}}
    images = [{"bytes": b"x", "path": f"{number}.jpg"} for number in range(4)]
    table = pa.table({"image": images, "label": [known.index(name) for name in NAMES], "embeddings": LISTS})
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    (folder / "data").mkdir()
    pq.write_table(table.slice(0, 2), folder / "data" / "train-00000-of-00002.parquet")
    pq.write_table(table.slice(2), folder / "data" / "train-00001-of-00002.parquet")
    (folder / "data" / "_metadata.parquet").write_bytes(b"no Parquet")
    return folder / "data"


def hive(folder: Path) -> Path:
    for name in dict.fromkeys(NAMES):
        mine = [vector for whose, vector in zip(NAMES, LISTS, strict=True) if whose == name]
        place = folder / "hive" / "day=2024-05-01" / f"identity={name.replace('ë', '%C3%AB')}"
        place.mkdir(parents=True)
        pq.write_table(pa.table({"vector": mine}), place / "0.parquet")
    return folder / "hive"


MADE: dict[str, list[Callable[[Path], Path]]] = {
    "deepface": [deepface, deepface_of_old],
    "face_recognition": [encodings, encodings_in_arrays, encodings_by_name],
    "insightface": [],
    "compreface": [compreface, compreface_in_json],
    "immich": [immich],
    "qdrant": [qdrant],
    "milvus": [milvus, milvus_rows],
    "huggingface": [huggingface],
    "parquet": [hive],
}


def test_the_help_names_every_tool() -> None:
    assert _TOOLS.split(", ") == list(TOOLS) == list(MADE)
    assert all(tool.name == name for name, tool in TOOLS.items())


@pytest.mark.parametrize(("tool", "make"), [(tool, make) for tool, makers in MADE.items() for make in makers])
def test_each_tools_files_give_its_vectors_and_names(tool: str, make: Callable[[Path], Path], tmp_path: Path) -> None:
    made = import_templates(tool, [make(tmp_path)], tmp_path / "t.parquet")
    assert (made.templates, made.identities, made.unnamed) == (4, 3, 0)
    read = read_templates(tmp_path / "t.parquet")
    found = sorted(zip(read.table["identity"].to_pylist(), read.vectors.tolist(), strict=True))
    for (name, vector), (expected, unit) in zip(found, sorted(zip(NAMES, UNIT.tolist(), strict=True)), strict=True):
        assert name == expected
        assert np.allclose(vector, unit, atol=1e-6)
    assert len(set(read.table["template_id"].to_pylist())) == 4
    assert len(Gallery.build(tmp_path / "t.parquet", tmp_path / "g")) == 4


def test_what_tools_say_of_ids_and_sources_is_kept(tmp_path: Path) -> None:
    import_templates("immich", [immich(tmp_path)], tmp_path / "i.parquet")
    table = read_templates(tmp_path / "i.parquet").table
    assert table["template_id"].to_pylist() == ["f0", "f1", "f2", "f3"]
    assert table["source"].to_pylist() == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    import_templates("qdrant", [qdrant(tmp_path)], tmp_path / "q.parquet")
    assert read_templates(tmp_path / "q.parquet").table["template_id"].to_pylist() == ["0", "1", "2", "3"]
    import_templates("deepface", [deepface(tmp_path)], tmp_path / "d.parquet")
    assert read_templates(tmp_path / "d.parquet").table["source"][0].as_py() == "db/kian/0.jpg"


def test_arrays_get_their_names_from_a_list(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VECTORS[:3])
    np.save(tmp_path / "b.npy", VECTORS[3:])
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    files = [tmp_path / "a.npy", tmp_path / "b.npy"]
    made = import_templates("insightface", files, tmp_path / "t.parquet", names=tmp_path / "names.txt")
    assert (made.templates, made.identities) == (4, 3)
    read = read_templates(tmp_path / "t.parquet")
    assert read.table["identity"].to_pylist() == NAMES
    assert np.allclose(read.vectors, UNIT, atol=1e-6)
    (tmp_path / "names.txt").write_text("kian\n", encoding="utf-8")
    with pytest.raises(TemplatesError, match="1 names, and there are more vectors"):
        import_templates("insightface", files, tmp_path / "u.parquet", names=tmp_path / "names.txt")
    (tmp_path / "names.txt").write_text("kian\n" * 5, encoding="utf-8")
    with pytest.raises(TemplatesError, match="5 names for 4 vectors"):
        import_templates("insightface", files, tmp_path / "u.parquet", names=tmp_path / "names.txt")
    assert not (tmp_path / "u.parquet").exists()


def test_people_without_a_name_are_counted(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VECTORS)
    made = import_templates("face_recognition", [tmp_path / "a.npy"], tmp_path / "t.parquet")
    assert (made.templates, made.identities, made.unnamed) == (4, 0, 4)
    answer = CliRunner().invoke(app, ["import", "face_recognition", str(tmp_path / "a.npy"), "-o", str(tmp_path / "u.parquet")])
    assert answer.exit_code == 0
    assert "4 templates of 0 identities" in answer.output
    assert "nobody has named 4" in answer.output


def test_rows_without_a_vector_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"identity": "db/kian/1.jpg", "embedding": LISTS[0]}, {"identity": "db/lena/1.jpg", "embedding": None}]
    path = written(tmp_path / "p.pkl", rows)
    made = import_templates("deepface", [path], tmp_path / "t.parquet")
    assert (made.templates, made.without_vector) == (1, 1)
    assert read_templates(tmp_path / "t.parquet").table["identity"].to_pylist() == ["kian"]
    answer = CliRunner().invoke(app, ["import", "deepface", str(path), "-o", str(tmp_path / "u.parquet")])
    assert "1 row without a vector left out" in answer.output


def test_columns_of_other_names_are_told(tmp_path: Path) -> None:
    rows = [{"who": name, "v": vector, "name": "x"} for name, vector in zip(NAMES, LISTS, strict=True)]
    path = written(tmp_path / "rows.json", rows)
    with pytest.raises(TemplatesError, match=r"found the columns who, v, name; expected vector \(or embedding"):
        import_templates("milvus", [path], tmp_path / "t.parquet")
    import_templates("milvus", [path], tmp_path / "t.parquet", vectors="v", identities="who")
    assert read_templates(tmp_path / "t.parquet").table["identity"].to_pylist() == NAMES


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "found a list of 0; expected rows"),
        ({"rows": []}, "expected rows"),
        ("text", "found 'text'; expected rows"),
        ([{"vector": [1.0, 2.0]}, {"vector": [1.0]}], "vector in row 1 has 1 dimensions, expected 2"),
        ([{"vector": [1.0, "a"]}], "the vector in row 0 is a list of 2"),
        ([{"vector": [1.0, None]}], "the vector in row 0 is a list of 2"),
        ([{"vector": [0.0, 0.0]}], "row 0 holds a zero vector"),
        ([{"vector": [1e999, 0.0]}], "NaN or infinity"),
        ([{"vector": [1.0, 2.0], "name": ["a"]}], "name in row 0 is a list of 1; expected text"),
        ([{"vector": None}, {"name": "a"}], "there is no vector in what was named"),
        ([{"vector": {"a": [1.0], "b": [2.0]}}], "found the columns a, b"),
        ([[1.0, 2.0], 3], "the vector in row 1 is 3"),
    ],
)
def test_what_is_no_row_is_told_by_its_place(value: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(TemplatesError, match=said):
        import_templates("qdrant", [written(tmp_path / "p.json", value)], tmp_path / "t.parquet")
    assert not (tmp_path / "t.parquet").exists()


def test_files_of_other_kinds_and_other_lengths_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VECTORS)
    np.save(tmp_path / "b.npy", VECTORS[:, :4])
    out = tmp_path / "t.parquet"
    with pytest.raises(TemplatesError, match="nothing is known of facebook's templates; expected deepface, "):
        import_templates("facebook", [tmp_path / "a.npy"], out)
    with pytest.raises(TemplatesError, match=r"of deepface \.pkl, \.pickle are read; found \.npy"):
        import_templates("deepface", [tmp_path / "a.npy"], out)
    with pytest.raises(TemplatesError, match="no such file"):
        import_templates("deepface", [tmp_path / "c.pkl"], out)
    with pytest.raises(EncoderMismatch, match="import them apart"):
        import_templates("insightface", [tmp_path / "a.npy", tmp_path / "b.npy"], out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TemplatesError, match="no Parquet file in this folder"):
        import_templates("parquet", [tmp_path / "empty"], out)
    with pytest.raises(OutputError, match="is read, so it cannot be the output"):
        import_templates("insightface", [tmp_path / "a.npy"], tmp_path / "a.npy", overwrite=True)
    assert not out.exists()


def test_a_value_that_a_pickle_names_a_million_times_fills_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.exchange.columns.free_memory", lambda: 1 << 30)
    row = {"identity": "a/b.jpg", "embedding": [1.0] * 4096}
    path = written(tmp_path / "p.pkl", [row] * 100_000)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(TemplatesError, match="its vectors are 3125 MiB, a quarter of the free memory is 256"):
        import_templates("deepface", [path], tmp_path / "t.parquet")


@pytest.fixture
def people(random_templates: Callable[..., Templates], tmp_path: Path) -> Path:
    made = random_templates(6, 3, 8)
    names = ["kian", "Zoë", "a/b=c", "..", "o'neil", "a b"]
    table = made.table.set_column(
        1, made.table.schema.field(1), pa.array([name for name in names for _ in range(3)], pa.string())
    )
    pq.write_table(table.replace_schema_metadata(made.provenance.to_metadata()), tmp_path / "people.parquet")
    return tmp_path / "people.parquet"


def test_a_table_goes_out_in_folders_and_comes_back_as_it_was(people: Path, tmp_path: Path) -> None:
    assert export_folder(people, tmp_path / "out", "identity") == 6
    assert len(list((tmp_path / "out").iterdir())) == 6
    assert import_templates("parquet", [tmp_path / "out"], tmp_path / "back.parquet").templates == 18
    before, after = read_templates(people), read_templates(tmp_path / "back.parquet")
    assert after.provenance == before.provenance
    assert (
        after.table.sort_by("template_id")
        .drop_columns(["vector"])
        .equals(before.table.sort_by("template_id").drop_columns(["vector"]))
    )
    assert np.allclose(np.sort(after.vectors.ravel()), np.sort(before.vectors.ravel()), atol=1e-6)


def test_other_programs_read_what_is_written(people: Path, tmp_path: Path) -> None:
    duckdb, pandas, polars = (pytest.importorskip(name) for name in ("duckdb", "pandas", "polars"))
    export_folder(people, tmp_path / "out", "identity")
    glob = str(tmp_path / "out" / "*" / "*.parquet")
    names = {"kian", "Zoë", "a/b=c", "..", "o'neil", "a b"}
    for path, hive in ((str(people), False), (glob, True)):
        said = f"read_parquet('{path}', hive_partitioning={hive})"
        found = duckdb.sql(f"select identity, count(*), min(len(vector)) from {said} group by identity").fetchall()  # noqa: S608
        assert {row[0] for row in found} == names
        assert {row[1:] for row in found} == {(3, 8)}
        frame = polars.read_parquet(path, hive_partitioning=hive)
        assert set(frame["identity"]) == names
        assert frame["vector"].to_numpy().shape == (18, 8)
    for given in (people, tmp_path / "out"):
        frame = pandas.read_parquet(given)
        assert set(frame["identity"].astype(str)) == names
        assert np.stack(list(frame["vector"])).shape == (18, 8)


def test_results_are_parted_by_what_was_decided(people: Path, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    gallery = Gallery.build(people, tmp_path / "g")
    results = gallery.identify(read_templates(people), threshold=0.5)
    pq.write_table(results.table, tmp_path / "found.parquet")
    export_folder(tmp_path / "found.parquet", tmp_path / "parts", "decision")
    assert polars.read_parquet(tmp_path / "parts")["decision"].to_list().count("identified") == results.counts.identified > 0


def test_only_partitions_are_replaced(people: Path, tmp_path: Path) -> None:
    export_folder(people, tmp_path / "out", "identity")
    with pytest.raises(OutputError, match="exists already"):
        export_folder(people, tmp_path / "out", "identity")
    assert export_folder(people, tmp_path / "out", "face", overwrite=True) == 1
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["face=__HIVE_DEFAULT_PARTITION__"]
    (tmp_path / "out" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds something else than partitions"):
        export_folder(people, tmp_path / "out", "identity", overwrite=True)
    for column, said in (("nobody", "found the columns template_id, "), ("vector", "expected text or whole numbers")):
        with pytest.raises(ListError, match=said):
            export_folder(people, tmp_path / "other", column)
