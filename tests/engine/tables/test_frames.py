import numpy as np
import pyarrow as pa
import pytest

from engine import Result, Results, Templates, group_templates
from engine.answers.results import failed_result
from engine.errors import MissingPackage
from engine.tables import frames
from tests.support.unnamed_faces import faces_of


@pytest.fixture
def templates() -> Templates:
    vectors = np.random.default_rng(0).normal(size=(12, 8))
    return Templates.from_vectors(vectors, [f"<b>id{number}</b>" for number in range(12)], [f"t{number}" for number in range(12)])


@pytest.fixture
def results() -> Results:
    rows = [failed_result(f"{number}.jpg", 0.5, "no face found") for number in range(3)]
    return Results(pa.concat_tables(rows))


def test_pandas_has_every_column_and_whole_numbers_stay_whole(results: Results, templates: Templates) -> None:
    frame = results.to_pandas()
    assert list(frame.columns) == results.table.column_names
    assert list(frame["probe"]) == ["0.jpg", "1.jpg", "2.jpg"]
    assert str(frame["face"].dtype) == "Int32"
    assert frame["face"].isna().all()
    assert np.allclose(np.stack(list(templates.to_pandas()["vector"])), templates.vectors)


def test_polars_has_every_column(results: Results, templates: Templates) -> None:
    frame = results.to_polars()
    assert frame.columns == results.table.column_names
    assert frame["decision"].to_list() == ["failed"] * 3
    assert np.allclose(templates.to_polars()["vector"].to_numpy(), templates.vectors)


def test_other_libraries_take_them_as_they_are(results: Results, templates: Templates) -> None:
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    assert polars.DataFrame(templates).height == 12
    assert pa.table(results).equals(results.table)
    with duckdb.connect() as connection:
        connection.register("found", pa.table(results))
        assert connection.execute("select count(*) from found where decision = 'failed'").fetchone() == (3,)


def test_a_package_that_is_missing_is_named(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(MissingPackage, match="needs polars, which is not installed; pip install polars"):
        results.to_polars()


def test_a_notebook_shows_ten_rows_in_which_everything_is_text(templates: Templates) -> None:
    shown = templates._repr_html_()
    assert shown.count("<tr>") == 1 + frames.SHOWN
    assert "and 2 more" in shown
    assert "&lt;b&gt;id0&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert "vector" not in shown


def test_what_is_long_or_no_letter_stays_in_its_cell() -> None:
    shown = frames.html_table("c", ["h"], [["x" * 500], ["\x1b[31m\n"], [None], [0.123456789]], 4)
    assert "x" * 59 + "…" in shown
    assert "\\x1b[31m\\n" in shown
    assert "<td></td>" in shown
    assert "<td>0.1235</td>" in shown
    assert "more" not in shown


def test_each_says_in_a_line_what_it_is(results: Results, templates: Templates) -> None:
    assert repr(results) == "<Results: 3 probe faces: 0 identified, 0 unknown, 3 failed>"
    assert repr(results[0]) == "<Result '0.jpg': failed: no face found>"
    found = Result("a\nb.jpg", 2, None, "identified", "Zoë", 0.25, 0.3, 0.5, None, None, None, ())
    assert repr(found) == "<Result 'a\\nb.jpg', face 2: identified as 'Zoë', distance 0.25>"
    assert repr(templates) == "<Templates: 12 made by an encoder that is not named (8 dimensions)>"
    groups = group_templates(faces_of([3, 2, 1]))
    assert repr(groups) == "<Groups: 6 faces in 2 groups, 1 alone>"
    assert "<td>p000</td>" not in groups._repr_html_()
