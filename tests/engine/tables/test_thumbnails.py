"""Faces in the tables of a notebook: of photographs that are at hand, small, and of no other file."""

import base64
import os
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from engine import Gallery, Templates, embed_images
from engine.encoders import Encoder
from engine.tables import thumbnails
from engine.tables.thumbnails import SIDE, thumbnail

BOX = (80.0, 60.0, 90.0, 130.0)


@pytest.fixture
def here(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds photos/, which is the present one."""
    monkeypatch.chdir(tmp_path)
    return photos


def shown(html: str) -> np.ndarray:
    """The picture in an image of a page."""
    found = re.fullmatch(r'<img src="data:image/jpeg;base64,([\w+/=]+)" alt="" width="56" height="56">', html)
    assert found
    return cv2.imdecode(np.frombuffer(base64.b64decode(found[1]), np.uint8), cv2.IMREAD_COLOR)


def test_a_face_is_a_small_picture_inside_the_page(here: Path) -> None:
    html = thumbnail("photos/person0.jpg", BOX)
    assert html is not None
    assert shown(html).shape == (SIDE, SIDE, 3)
    assert len(html) < 8000
    assert thumbnail(str(here / "person0.jpg"), None) is not None


def test_no_other_file_is_shown(here: Path, save: Callable[[np.ndarray, str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    aside = here.parent / "aside"
    aside.mkdir()
    monkeypatch.chdir(here)
    outside = save(np.zeros((50, 50, 3), np.uint8), "aside/outside.png")
    (here / "link.png").symlink_to(outside)
    (here / "no.jpg").write_text("<script>")
    (here / "circle.jpg").symlink_to("circle.jpg")
    os.mkfifo(here / "pipe.jpg")
    for source in (
        *(str(outside), "../aside/outside.png", "link.png", "no.jpg", "circle.jpg", "pipe.jpg", "nobody.jpg", "", None, "."),
        *("s3://bucket/a.jpg", "s3://", "https://a.b/c.jpg", "//host/share/a.jpg", "a\0b.jpg", "x" * 5000, "image:0"),
    ):
        assert thumbnail(source, BOX) is None, source
    for box in ((np.nan, 0, 1, 1), (0, 0, -5, 5), (900, 900, 5, 5), (0, 0, np.inf, 1)):
        assert thumbnail("person0.jpg", box) is None
    monkeypatch.setattr(thumbnails, "MEGAPIXELS", 0.01)
    assert thumbnail("person0.jpg", BOX) is None
    monkeypatch.setattr(thumbnails, "MEGAPIXELS", 30)
    monkeypatch.setattr(thumbnails, "_BYTES", 100)
    assert thumbnail("person0.jpg", BOX) is None


def test_tables_of_a_notebook_have_faces(here: Path, sface: Encoder) -> None:
    templates = embed_images("photos", sface).templates
    assert templates._repr_html_().count("<img ") == 10
    gallery = Gallery.build(templates, "g")
    assert gallery._repr_html_().count("<img ") == 10
    page = gallery.identify(["photos/person1.jpg"], threshold=0.3)._repr_html_()
    assert page.count("<img ") == 1
    assert page.startswith("<table><caption>")
    (here / "person0.jpg").unlink()
    assert templates._repr_html_().count("<img ") == 9
    for path in here.iterdir():
        path.unlink()
    without = templates._repr_html_()
    assert "<img" not in without
    assert "<th></th>" not in without


def test_what_others_wrote_as_a_source_is_text_alone(here: Path) -> None:
    made = Templates.from_vectors(np.eye(2), ["a", "b"])
    table = made.table.set_column(2, "source", pa.array(['"><script>alert(1)</script>', "photos/person0.jpg"]))
    html = Templates(table, made.provenance)._repr_html_()
    assert "<script>" not in html
    assert html.count("<img ") == 1
