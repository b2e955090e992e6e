"""One name is one spelling, wherever it comes from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.embedding.photographs import find_photographs
from engine.errors import GalleryError, NameRefused, PhotographsError, TemplatesError
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates
from engine.templates.names import each_of, enrolled_as, name_of, names_in
from engine.templates.parquet import read_templates

NFC, NFD = "Zo\u00eb", "Zoe\u0308"
Make = Callable[..., Templates]


@pytest.mark.parametrize(
    ("text", "name"), [(NFD, NFC), (NFC, NFC), (" kian\t", "kian"), ("\u00a0Kian R. ", "Kian R."), ("雪", "雪")]
)
def test_a_name_has_one_spelling(text: str, name: str) -> None:
    assert name_of(text) == name
    assert names_in(pa.array([text, None, " "]), "a list").to_pylist() == [name, None, None]


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u2003", "a\nb", "a\x00b", "a\x1bb", "a\x7fb", "a\x85b", "a\u2028b"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(NameRefused, match="^it: the name .* holds control|^it cannot have a blank name"):
        name_of(text, "it")


def test_the_row_of_a_name_that_is_refused_is_named() -> None:
    with pytest.raises(NameRefused, match=r"^l\.csv, row 1: the name 'a\\x07b' holds control characters"):
        names_in(pa.array(["a", "a\x07b"]), "l.csv")


def test_a_string_is_one() -> None:
    assert each_of("AB") == ["AB"]
    assert each_of(Path("AB")) == [Path("AB")]
    assert each_of(["A", "B"]) == each_of(iter("AB")) == ["A", "B"]


def test_whom_a_name_means_in_a_gallery_of_an_older_onek() -> None:
    assert enrolled_as(NFC, {NFC, NFD, "Zoe"}) == [NFC, NFD]
    assert enrolled_as(NFD, {NFC, "Zoe"}) == [NFC]
    assert enrolled_as(" kian", {" kian", "kian"}) == [" kian"]
    assert enrolled_as(" kian ", {"kian"}) == ["kian"]
    assert enrolled_as("", {"", "kian"}) == [""]
    assert enrolled_as("", {"kian"}) == []


def crops(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"\xff\xd8\xff")


def test_photographs_of_every_kind_of_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    crops(f"p/{NFD}/1.jpg", f"q/{NFD}.jpg", "q/ kian .jpg")
    Path("l.csv").write_text(f"path,identity\nq/{NFD}.jpg, {NFD} \nq/ kian .jpg,  \n", encoding="utf-8")
    assert [each.identity for each in find_photographs([Path("p")])] == [NFC]
    assert [each.identity for each in find_photographs([Path("q")])] == ["kian", NFC]
    assert [each.identity for each in find_photographs([Path("q")], "l.csv")] == [None, NFC]
    assert [each.identity for each in find_photographs("l.csv")] == [NFC, None]


def test_a_file_whose_name_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    crops("p/kian.jpg", "p/a\nb.jpg")
    with pytest.raises(NameRefused, match=r"p/a\nb\.jpg: its identity: the name 'a\\nb' holds control characters"):
        find_photographs([Path("p")])
    with pytest.raises(PhotographsError, match="gone: no such file"):
        find_photographs("gone")


def test_templates_from_everywhere(random_templates: Make, tmp_path: Path) -> None:
    vectors = np.eye(3)
    assert Templates.from_vectors(vectors, [NFD, "", " kian"]).table["identity"].to_pylist() == [NFC, None, "kian"]
    assert Templates.from_vectors(vectors[:1], "AB", "t").table["identity"].to_pylist() == ["AB"]
    with pytest.raises(TemplatesError, match="3 vectors, but 1 identities"):
        Templates.from_vectors(vectors, "ABC")
    assert set(Templates.from_vectors(vectors).of(NFD).table["identity"].to_pylist()) == {NFC}
    pq.write_table(pa.table({"vector": vectors.tolist(), "identity": [NFD, " ", "b"]}), tmp_path / "v.parquet")
    assert read_templates(tmp_path / "v.parquet").table["identity"].to_pylist() == [NFC, None, "b"]
    old = _spelt(random_templates(3, 1), {"id0": NFD, "id1": " "})
    pq.write_table(old.table, tmp_path / "old.parquet")
    assert read_templates(tmp_path / "old.parquet").table["identity"].to_pylist() == [NFC, None, "id2"]
    with pytest.raises(TemplatesError, match="has no identity"):
        Gallery.build(str(tmp_path / "old.parquet"), tmp_path / "g")


def _spelt(templates: Templates, names: dict[str, str]) -> Templates:
    """As an older onek might have written them."""
    column = templates.table.schema.get_field_index("identity")
    called = pa.array([names.get(name, name) for name in templates.table["identity"].to_pylist()])
    return Templates(templates.table.set_column(column, templates.table.schema.field(column), called), templates.provenance)


def test_a_gallery_of_old_spellings(random_templates: Make, tmp_path: Path) -> None:
    old = _spelt(random_templates(30, 2), {"id0": NFD, "id1": NFC, "id2": NFD + " R.", "id3": "a\nb", "id4": ""})
    gallery = Gallery.build(old, tmp_path / "g")
    joining = Templates.from_vectors(old.vectors[4:5], [NFC + " R."], ["new"], old.provenance)
    gallery.enroll(joining)  # stays one person with the one who is there
    assert (gallery.identity_count, gallery.verify(old.vectors[4], NFC + " R.", threshold=0.1).same) == (30, True)
    assert gallery.rename(NFC + " R.", NFC + " S.") == 3
    assert gallery.remove(NFC) == 4  # both spellings: whoever is removed is gone
    assert gallery.remove("a\nb") == gallery.remove("") == 2
    for name in (NFC, NFD):
        with pytest.raises(GalleryError, match="is not enrolled"):
            gallery.remove(name)
    assert gallery.identities == sorted([f"id{number}" for number in range(5, 30)] + [NFC + " S."])


def test_a_string_is_one_identity_of_a_gallery(random_templates: Make, tmp_path: Path) -> None:
    templates = _spelt(random_templates(30, 2), {"id0": "A", "id1": "B", "id2": "AB"})
    gallery = Gallery.build(templates, tmp_path / "g")
    assert gallery.remove("AB") == 2
    assert gallery.remove(templates="t0") == 1
    assert {"A", "B"} <= set(gallery.identities)
    assert len(Gallery.merge(str(gallery.path), tmp_path / "m")) == len(gallery) == 57


def test_renamed_to_what_is_no_name(random_templates: Make, tmp_path: Path) -> None:
    gallery = Gallery.build(random_templates(30, 2), tmp_path / "g")
    for name in ("", " ", "a\nb"):
        with pytest.raises(NameRefused, match="the new name"):
            gallery.rename("id0", name)
    assert gallery.rename("id0", " " + NFD) == 2
    assert NFC in gallery.identities
    with pytest.raises(GalleryError, match="is enrolled in .* already"):
        gallery.rename("id1", NFD)
