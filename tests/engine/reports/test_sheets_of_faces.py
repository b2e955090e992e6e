"""Contact sheets, annotated photographs and pictures of mistakes, on drawn people."""

import re
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from engine import Gallery
from engine.cli.app import app
from engine.embedding.embedder import Embedder
from engine.encoders import Encoder
from engine.errors import OnekError, OutputError
from engine.reports.annotated import Label, annotated
from engine.reports.pictures import photograph_of
from engine.reports.sheets.results import MOST, contact_sheet, read_results
from engine.tables.thumbnails import cut_out
from engine.workflows.embed_files import embed_to_file


@pytest.fixture(scope="module")
def gallery(drawn: list[np.ndarray], sface: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from engine.embedding.photographs import find_photographs
    from engine.templates.parquet import read_templates

    folder = tmp_path_factory.mktemp("gallery")
    for number, picture in enumerate(drawn):
        cv2.imwrite(str(folder / f"person{number}.jpg"), picture[..., ::-1])
    embed_to_file(find_photographs([folder], "stem"), Embedder(sface), folder / "t.parquet")
    Gallery.build(read_templates(folder / "t.parquet"), folder / "g").close()
    return folder / "g"


def test_identify_annotates_and_its_results_make_a_contact_sheet(
    gallery: Path, drawn_again: list[np.ndarray], save, tmp_path: Path
) -> None:
    save(drawn_again[0], "visitors/a <b>.jpg")
    save(drawn_again[1], "visitors/below/a <b>.jpg")
    save(np.full((80, 80, 3), 90, np.uint8), "visitors/nobody.jpg")
    out, marked = tmp_path / "r.parquet", tmp_path / "marked"
    arguments = ["identify", str(tmp_path / "visitors"), "-g", str(gallery), "-o", str(out), "--annotate", str(marked)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 3, done.output  # one photograph without a face
    assert sorted(path.name for path in marked.iterdir()) == ["000001-a <b>.jpg", "000002-a <b>.jpg", "000003-nobody.jpg"]
    first, plain = (cv2.imread(str(path)) for path in (marked / "000001-a <b>.jpg", tmp_path / "visitors" / "a <b>.jpg"))
    assert first.shape == plain.shape
    assert np.abs(first.astype(int) - plain).max(axis=2).mean() > 3  # there is a box, and a name, in it
    refused = CliRunner().invoke(app, [*arguments, "--overwrite"])
    assert refused.exit_code == 3, refused.output
    again = CliRunner().invoke(app, [*arguments[:5], str(tmp_path / "other.parquet"), *arguments[6:]])
    assert isinstance(again.exception, OutputError)

    sheet = tmp_path / "sheet.html"
    done = CliRunner().invoke(app, ["report", str(out), "-o", str(sheet)])
    assert done.exit_code == 0, done.output
    page = sheet.read_text()
    assert page.count("<article>") == 3
    assert page.count("data:image/jpeg") == 2
    assert "no template could be made" in page
    assert "a &lt;b&gt;.jpg" in page
    assert not re.search(r"<script|<b>|https?://", page)
    # Names and scores are those of the results.
    for row in pq.read_table(out).to_pylist():
        if row["identity"]:
            assert f"<strong>{row['identity']}</strong>" in page
        if row["score"] is not None:
            assert f"score {row['score']:.3f}" in page
    with pytest.raises(OutputError, match=r"expected a name that ends in \.html"):
        CliRunner().invoke(app, ["report", str(out), "-o", str(tmp_path / "x")], catch_exceptions=False)


def test_a_photograph_is_found_below_its_folder_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "photos" / "kian").mkdir(parents=True)
    (tmp_path / "photos" / "kian" / "1.jpg").touch()
    (tmp_path / "1.jpg").touch()
    (tmp_path / "secret.jpg").touch()
    (tmp_path / "photos" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    there = tmp_path / "photos"
    assert photograph_of("/elsewhere/photos/kian/1.jpg", there) == there.resolve() / "kian" / "1.jpg"
    assert photograph_of("1.jpg", there) is None
    assert photograph_of("../secret.jpg", there) is None
    assert photograph_of(str(tmp_path / "secret.jpg"), there) is None
    assert photograph_of("link.jpg", there) is None
    assert photograph_of(str(tmp_path / "1.jpg"), None) == tmp_path / "1.jpg"


def test_what_is_no_results_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(OutputError, match="no results of onek identify"):
        read_results(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(OnekError):
        read_results(tmp_path / "b.parquet")
    with pytest.raises(OutputError, match="a contact sheet shows"):
        contact_sheet(pa.table({"decision": pa.array(["unknown"] * (MOST + 1))}), None, "r")


def test_a_cut_out_is_a_square_around_the_face() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[40:60, 90:110] = (250, 0, 0)
    cut = cut_out(picture, (90, 40, 20, 20), 180)
    assert cut.shape == (180, 180, 3)
    assert cut[90, 90].tolist() == [250, 0, 0]
    assert cut[5, 5].tolist() == [0, 0, 0]
    assert cut_out(picture, (-10, -10, 20, 20), 180)[2, 2].tolist() == [128, 128, 128]  # beyond the picture


def test_annotations_of_any_size_and_script_stay_inside() -> None:
    for shape in ((30, 40, 3), (2500, 1800, 3)):
        picture = np.full(shape, 200, np.uint8)
        labels = [
            Label((0, 0, 10, 10), "Åse Ωmega يم \x1b[31m", True),
            Label((shape[1] - 5, shape[0] - 5, 50, 50), "unknown", False),
        ]
        made = annotated(picture, labels)
        assert max(made.shape) == min(max(shape), 1600)
        assert (picture == 200).all()
        assert not (made == 200).all()
