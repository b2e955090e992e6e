"""A gallery behaves as Python's own containers do, takes what other libraries hold, and says what is of the wrong type."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
from PIL import Image

import engine
from engine import Gallery, Templates, embed_images
from engine.errors import GalleryError, NotEnrolled, OnekError, PhotographsError, TemplatesError, WrongType
from engine.templates.given import Vectors

VECTORS = np.random.default_rng(0).normal(size=(12, 8))
NAMES = [name for name in ("kian", "lena", "Zoë", "amir") for _ in range(3)]
LISTS = VECTORS.tolist()
FRAME = {"vector": LISTS, "identity": NAMES}


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery.build(VECTORS, NAMES, tmp_path / "g")


def test_a_gallery_is_a_container_of_people(gallery: Gallery) -> None:
    assert "kian" in gallery
    assert " Zoe\u0308 " in gallery
    assert "nobody" not in gallery
    assert 3 not in gallery
    assert list(gallery) == ["Zoë", "amir", "kian", "lena"]
    assert (len(gallery), gallery.identity_count) == (12, 4)
    kian = gallery["kian"]
    assert isinstance(kian, Templates)
    assert kian.table["identity"].to_pylist() == ["kian"] * 3
    assert kian.provenance == gallery.provenance
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    assert np.allclose(kian.vectors, unit[:3], atol=1e-6)
    assert [each.identity for each in gallery.identify(kian, threshold=0.1)] == ["kian"] * 3


def test_nobody_of_that_name_is_a_key_error_with_its_message_as_it_is(gallery: Gallery) -> None:
    for error in (KeyError, GalleryError, NotEnrolled):
        with pytest.raises(error, match=r"^nobody called kain is enrolled in .*\. Did you mean kian\?$"):
            gallery["kain"]
    with pytest.raises(NotEnrolled):
        gallery.remove("nobody")
    with pytest.raises(NotEnrolled):
        gallery.rename("nobody", "somebody")


def test_a_gallery_is_closed_with_its_block(gallery: Gallery) -> None:
    with Gallery.open(gallery.path) as opened:
        opened.enroll(VECTORS[:1] + 1, ["nora"])
        assert "nora" in opened
    assert "nora" in Gallery.open(gallery.path)


def test_a_gallery_says_in_a_line_what_it_is(gallery: Gallery, tmp_path: Path) -> None:
    assert repr(gallery) == f"<Gallery '{tmp_path / 'g'}': 12 templates of 4 identities>"
    shown = gallery._repr_html_()
    assert shown.count("<tr>") == 5
    assert "<td>kian</td><td>3</td>" in shown
    many = Gallery.build(np.eye(20), [f"<i>{number}" for number in range(20)], tmp_path / "many")
    assert many._repr_html_().count("<tr>") == 11
    assert "and 10 more" in many._repr_html_()
    assert "<i>" not in many._repr_html_()


def test_a_gallery_that_is_gone_has_a_line_too(gallery: Gallery, tmp_path: Path) -> None:
    opened = Gallery.open(gallery.path)
    (tmp_path / "g").rename(tmp_path / "away")
    assert repr(opened) in (f"<Gallery '{tmp_path / 'g'}': it cannot be read>", repr(gallery))
    assert "<td>kian</td><td>3</td>" in opened._repr_html_()


GIVEN: dict[str, Callable[[], tuple[Vectors, object]]] = {
    "array": lambda: (VECTORS, NAMES),
    "array of halves": lambda: (VECTORS.astype(np.float16), np.array(NAMES)),
    "lists": lambda: (LISTS, tuple(NAMES)),
    "list of arrays": lambda: (list(VECTORS), pandas.Series(NAMES)),
    "Arrow's table": lambda: (pa.table(FRAME), None),
    "Arrow's table and names": lambda: (pa.table({"embedding": LISTS}), pa.array(NAMES)),
    "Arrow's column": lambda: (pa.chunked_array([pa.array(LISTS)]), NAMES),
    "pandas": lambda: (pandas.DataFrame(FRAME), None),
    "pandas of arrays": lambda: (pandas.DataFrame({"vector": list(VECTORS)}), pandas.Series(NAMES)),
    "pandas of numbers": lambda: (pandas.DataFrame(VECTORS), NAMES),
    "pandas of numbers and names": lambda: (pandas.DataFrame(VECTORS).rename(columns=str).assign(identity=NAMES), None),
    "polars": lambda: (polars.DataFrame(FRAME), None),
    "polars of arrays": lambda: (polars.DataFrame({"vector": VECTORS}), polars.Series(NAMES)),
    "polars of numbers": lambda: (polars.DataFrame(VECTORS), NAMES),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_vectors_of_every_kind_build_enrol_and_are_looked_for(kind: str, tmp_path: Path) -> None:
    vectors, names = GIVEN[kind]()
    built = Gallery.build(vectors, tmp_path / "g") if names is None else Gallery.build(vectors, names, tmp_path / "g")  # type: ignore[arg-type]
    assert dict(built.templates_by_identity()) == dict.fromkeys(["Zoë", "amir", "kian", "lena"], 3)
    found = built.identify(vectors, threshold=0.1)
    assert [each.identity for each in found] == NAMES
    other = Gallery.build(np.eye(8), [f"id{number}" for number in range(8)], tmp_path / "other")
    assert other.enroll(vectors, names).templates == 12  # type: ignore[arg-type]
    assert other.identify(vectors, threshold=0.1).counts.identified == 12


def test_a_frame_with_ids_and_sources_keeps_them(tmp_path: Path) -> None:
    frame = polars.DataFrame({**FRAME, "template_id": [f"t{row}" for row in range(12)], "source": ["s"] * 12})
    built = Gallery.build(frame, tmp_path / "g")
    assert sorted(built.template_ids.to_pylist()) == sorted(f"t{row}" for row in range(12))
    assert built.sources().to_pylist() == ["s"] * 12


@pytest.mark.parametrize(
    ("vectors", "names", "error", "said"),
    [
        (VECTORS, NAMES[:3], TemplatesError, "12 vectors, but 3"),
        (pa.table({"vector": LISTS}), NAMES[:3], TemplatesError, "12 vectors, but 3 names"),
        (VECTORS, "kian", WrongType, "the names are a str, 'kian'; expected a list of texts"),
        (VECTORS, list(range(12)), WrongType, "the name in row 0 is a int, 0; expected text"),
        (VECTORS, 7, WrongType, "the names are a int, 7"),
        ([[1.0, 2.0], [1.0]], ["a", "b"], TemplatesError, "vectors of 1 and 2 dimensions"),
        ([["a"]], ["a"], WrongType, "expected vectors of floats"),
        (np.array([{}]), ["a"], WrongType, "found a ndarray of object"),
        (np.zeros((2, 2, 2)), ["a", "b"], WrongType, r"shape \(2, 2, 2\)"),
        (np.zeros((1, 4)), ["a"], TemplatesError, "row 0 holds a zero vector"),
        (pandas.DataFrame({"a": ["x"]}), ["a"], WrongType, "found a table with the columns a .*; expected a column of vectors"),
        (pa.table({"vector": [["a"]]}), ["a"], TemplatesError, "expected lists of float16, float32 or float64"),
        (pa.table({"vector": pa.array([], pa.list_(pa.float32()))}), [], TemplatesError, "no rows"),
        ("people.parquet", ["a"], WrongType, "names go with vectors; found a str"),
        (None, ["a"], WrongType, "names go with vectors; found a NoneType"),
    ],
)
def test_what_is_no_vectors_is_told_as_what_it_is(
    vectors: object, names: object, error: type[OnekError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        Gallery.build(vectors, names, tmp_path / "g")  # type: ignore[call-overload]
    assert not (tmp_path / "g").exists()


def test_wrong_types_are_type_errors_that_name_what_was_found(gallery: Gallery, tmp_path: Path) -> None:
    probe = VECTORS[0]
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: gallery.identify(probe, fpir="1%"), r"fpir is '1%' \(str\); expected a number such as 0\.01"),  # type: ignore[arg-type]
        (lambda: gallery.identify(probe, threshold="x"), r"threshold is 'x' \(str\); expected a number such as 0\.5"),  # type: ignore[arg-type]
        (lambda: gallery.identify(probe, top="5"), r"top is '5' \(str\); expected a whole number"),  # type: ignore[arg-type]
        (lambda: gallery.identify(probe, threshold=0.5, quality="no"), r"quality is 'no' \(str\)"),  # type: ignore[arg-type]
        (lambda: gallery.identify(None), r"found None \(a NoneType\); expected photographs"),  # type: ignore[arg-type]
        (lambda: gallery.identify(7), r"found 7 \(a int\); expected photographs"),  # type: ignore[arg-type]
        (lambda: gallery.verify(probe, 3), r"identity is 3 \(int\); expected text"),  # type: ignore[arg-type]
        (lambda: gallery[3], r"the name of a person is 3 \(int\); expected text"),  # type: ignore[index]
        (lambda: gallery.remove(3), r"found 3 \(a int\); expected a text, or a list of them"),  # type: ignore[arg-type]
        (lambda: gallery.rename("kian", None), r"the new name is None \(NoneType\); expected text"),  # type: ignore[arg-type]
        (lambda: embed_images(None), r"found None \(a NoneType\); expected photographs"),  # type: ignore[arg-type]
        (lambda: Gallery.build(VECTORS, NAMES), "where to build is a list, expected a path: build"),  # type: ignore[call-overload]
    ]
    for call, said in calls:
        with pytest.raises(TypeError, match=said) as raised:
            call()
        assert isinstance(raised.value, WrongType)
        assert isinstance(raised.value, OnekError)


def test_names_go_with_vectors_alone(gallery: Gallery) -> None:
    with pytest.raises(TemplatesError, match=r"names go with vectors.*identity='\.\.\.' says"):
        gallery.enroll(gallery["kian"], ["kian"])
    with pytest.raises(PhotographsError, match="goes with photographs"):
        gallery.enroll(VECTORS, NAMES, faces="all")


def test_progress_is_told_in_one_shape(drawn: list[np.ndarray], tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def progress(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))

    embed_images(drawn[:3], "pixels", faces="none", progress=progress)
    assert told == [("embedding", done, 3) for done in (1, 2, 3)]
    Gallery.build(VECTORS, NAMES, tmp_path / "g", progress=progress).calibrate(
        Templates.from_vectors(np.random.default_rng(1).normal(size=(40, 8))), progress
    )
    assert all(isinstance(stage, str) and 0 <= done <= total for stage, done, total in told)


def test_the_process_is_left_as_it_was(
    gallery: Gallery, drawn: list[np.ndarray], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    filters, handlers, level = list(warnings.filters), list(logging.root.handlers), logging.root.level
    Image.fromarray(drawn[0]).save(tmp_path / "one.jpg")
    embed_images([tmp_path / "one.jpg"], "pixels", faces="none")
    gallery.identify(VECTORS, threshold=0.5)
    gallery.enroll(VECTORS + 1, [f"new{row}" for row in range(12)])
    gallery.compact()
    assert list(warnings.filters) == filters
    assert (list(logging.root.handlers), logging.root.level) == (handlers, level)
    assert capsys.readouterr() == ("", "")


def test_the_package_shows_its_public_names_and_no_other() -> None:
    assert sorted(name for name in dir(engine) if not name.startswith("_")) == sorted(engine.__all__)
    assert engine.__version__
