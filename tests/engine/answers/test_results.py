import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow
import pyarrow.parquet as pq
import pytest

from engine.answers.results import SCHEMA, Candidate, Results, failed_result, make_results
from engine.answers.results_files import results_file
from engine.errors import OutputError
from engine.files.escaping import plainly
from engine.matching.scoring import Candidates
from engine.tables.lists import Column, read_list
from engine.templates.problems import Problem, write_problems

BOX = pa.list_(pa.float32(), 4)


@pytest.fixture
def table() -> pa.Table:
    """Three probes, two candidates each: one identified, one unknown, one failed. The names are nasty."""
    found = make_results(
        probes=pa.array(['a,"1"\n.jpg', "b.jpg"]),
        faces=pa.array([0, 2], pa.int32()),
        boxes=pa.array([[1.5, 2, 30, 40], None], BOX),
        threshold=0.425,
        candidates=Candidates(
            rows=np.array([[0, 1], [2, 0]]),
            distances=np.array([[0.1, 0.5], [0.6, 0.7]], np.float32),
            scores=np.array([[0.2, 1.5], [1.6, 1.7]], np.float32),
        ),
        identities=pa.array(["Zoë", "x", "y", "Zoë"]),
        template_ids=pa.array(["t0", "t1", "t2", "t0"]),
        expected_false_alarms=np.array([1.23456789e-7, 0.5], np.float32),
        quality=pa.chunked_array([[0.5, None]], pa.float32()),
        reasons=pa.chunked_array([[None, None]], pa.string()),
        candidate_quality=np.array([[0.25, np.nan], [np.nan, np.nan]], np.float32),
    )
    return pa.concat_tables([found, failed_result("c.jpg", 0.425, "no face found")])


def test_rows_by_hand(table: pa.Table) -> None:
    one, two, three = Results(table)
    assert (one.decision, one.identity, one.face) == ("identified", "Zoë", 0)
    assert (one.box, two.box, three.box) == ((1.5, 2, 30, 40), None, None)
    assert one.candidates == (
        Candidate("Zoë", "t0", pytest.approx(0.1), pytest.approx(0.2), 0.25),
        Candidate("x", "t1", pytest.approx(0.5), pytest.approx(1.5), None),
    )
    assert [(each.quality, each.reasons) for each in (one, two, three)] == [(0.5, None), (None, None), (None, "no face found")]
    assert (one.distance, one.score) == (pytest.approx(0.1), pytest.approx(0.2))
    assert one.expected_false_alarms == pytest.approx(1.23456789e-7)
    assert (two.decision, two.identity, two.distance, len(two.candidates)) == ("unknown", None, pytest.approx(0.6), 2)
    assert (three.decision, three.face, three.distance, three.score, three.candidates) == ("failed", None, None, None, ())
    counts = Results(table).counts
    assert (counts.identified, counts.unknown, counts.failed) == (1, 1, 1)


def test_every_format_holds_the_same(table: pa.Table, tmp_path: Path) -> None:
    for ending in ("parquet", "csv", "json", "jsonl"):
        with results_file(tmp_path / f"r.{ending}") as writer:
            writer.write(table.slice(0, 1))
            writer.write(table.slice(1))
    assert pq.read_table(tmp_path / "r.parquet").equals(table)
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [list(row) for row in rows] == [SCHEMA.names] * 3
    assert json.loads((tmp_path / "r.json").read_text()) == rows
    assert (rows[0]["box"], rows[1]["box"]) == ([1.5, 2, 30, 40], None)
    assert (rows[0]["probe"], rows[0]["distance"], rows[0]["threshold"]) == ('a,"1"\n.jpg', 0.1, 0.425)
    assert rows[0]["expected_false_alarms"] == 1.23457e-07
    assert rows[2]["identity"] is None
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["probe"] for line in lines] == ['a,"1"\n.jpg', "b.jpg", "c.jpg"]
    assert [line["identity"] for line in lines] == ["Zoë", "", ""]
    assert [line["distance"] for line in lines] == ["0.1", "0.6", ""]
    assert [line["box"] for line in lines] == ["[1.5, 2.0, 30.0, 40.0]", "", ""]
    assert [json.loads(line["candidates"]) for line in lines] == [row["candidates"] for row in rows]


def test_other_endings(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"'\.xlsx', expected"), results_file(tmp_path / "r.xlsx"):
        pass


def test_no_rows_are_an_empty_list(tmp_path: Path) -> None:
    with results_file(tmp_path / "r.json"):
        pass
    assert json.loads((tmp_path / "r.json").read_text()) == []


NASTY = ["ki\ran.jpg", "ki\nan.jpg", "ki\r\nan.jpg", "ki\u2028an.jpg", "=cmd()", "+1", "-1", "@x", "'=1", 'a"b', "a,b", "\t"]


def test_names_of_any_kind_read_back_from_csv(tmp_path: Path) -> None:
    table = make_results(
        probes=pa.array(NASTY),
        faces=pa.nulls(len(NASTY), pa.int32()),
        boxes=pa.nulls(len(NASTY), BOX),
        threshold=0.5,
        candidates=Candidates(*(np.zeros((len(NASTY), 1), kind) for kind in (int, np.float32, np.float32))),
        identities=pa.array(NASTY),
        template_ids=pa.array(NASTY),
        expected_false_alarms=None,
        quality=pa.chunked_array([pa.nulls(len(NASTY), pa.float32())]),
        reasons=pa.chunked_array([pa.nulls(len(NASTY), pa.string())]),
        candidate_quality=np.full((len(NASTY), 1), np.nan, np.float32),
    )
    with results_file(tmp_path / "r.csv") as writer:
        writer.write(table)
    write_problems(tmp_path / "r.csv", [Problem(name, name) for name in NASTY])
    # Arrow's reader, Python's, and our own.
    read = arrow.read_csv(tmp_path / "r.csv", parse_options=arrow.ParseOptions(newlines_in_values=True)).to_pylist()
    assert [(plainly(row["probe"]), plainly(row["identity"])) for row in read] == list(zip(NASTY, NASTY, strict=True))
    assert [json.loads(row["candidates"])[0]["template_id"] for row in read] == NASTY
    for name, (one, two) in (("r.csv", ("probe", "identity")), ("r.problems.csv", ("source", "reason"))):
        with (tmp_path / name).open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        assert [(plainly(row[one]), plainly(row[two])) for row in rows] == list(zip(NASTY, NASTY, strict=True))
        assert not any(value.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for value in (row[one], row[two]))
    read_as_list = read_list(tmp_path / "r.problems.csv", [Column("source"), Column("reason")]).rows
    assert [row.values["source"] for row in read_as_list] == [name.strip() for name in NASTY]
