"""Sheets of groups: pages that show each group, whatever lies in names, paths and boxes."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine import group_templates
from engine.grouping.corrections import join_groups, name_group
from engine.reports.sheets.groups import GROUPS_A_PAGE, write_group_sheets
from engine.templates.model import Templates, batch
from tests.support.unnamed_faces import SFACE, faces_of


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_sheet_shows_each_group_and_runs_and_fetches_nothing(
    drawn: list[np.ndarray], save: Callable[[np.ndarray, str], Path], tmp_path: Path
) -> None:
    hostile = '"><script>alert(1)</script>.png'
    sources = [str(save(drawn[0], "one.png")), str(tmp_path / hostile), "s3://bucket/three.png", None]
    vectors = faces_of([4]).vectors
    boxes = [[10.0, 20.0, 120.0, 120.0], None, None, [float("nan")] * 4]
    rows = batch(SFACE, ["a", "b", "c", "d"], None, vectors, sources=sources, boxes=boxes)
    groups = group_templates(
        Templates(pa.Table.from_batches([rows]), SFACE), together=[("a", "b"), ("b", "c"), ("c", "d")], same_photo=True
    )
    groups = name_group(groups, 1, "<b>Anna & Co</b>")
    assert write_group_sheets(tmp_path / "sheet", groups) == 1
    text = (tmp_path / "sheet" / "groups-001.html").read_text(encoding="utf-8")
    page = _Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "object", "form", "b"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    pictures = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 1
    assert pictures[0].startswith("data:image/jpeg;base64,")
    assert all((attributes.get("href") or "").startswith("groups-") for tag, attributes in page.tags if tag == "a")
    assert "1: <b>Anna & Co</b> (4 faces)" in page.text
    assert text.count("the photograph is not at hand") == 3
    assert "http" not in re.sub(r'http-equiv="', "", text)


def test_a_hundred_groups_make_a_page_and_a_large_group_shows_its_best_and_its_least(tmp_path: Path) -> None:
    groups = group_templates(faces_of([2] * (GROUPS_A_PAGE + 5)))
    groups = join_groups(groups, 1, 2)
    pages = write_group_sheets(tmp_path / "sheet", groups)
    sections = [(tmp_path / "sheet" / f"groups-{at:03}.html").read_text().count("<section>") for at in range(1, pages + 1)]
    assert sections == [GROUPS_A_PAGE, len(groups.members) - GROUPS_A_PAGE]
    large = group_templates(faces_of([30]))
    write_group_sheets(tmp_path / "large", large)
    text = (tmp_path / "large" / "groups-001.html").read_text()
    assert text.count("<li>") == 18
    assert "12 between the best and the least not shown" in text
    assert write_group_sheets(tmp_path / "none", group_templates(faces_of([1]))) == 1


@pytest.mark.parametrize(
    "box",
    [
        (1e30, 0, 10, 10),
        (0, 0, -5, 5),
        (0, 0, 0, 0),
        (float("inf"), 0, 1, 1),
        (500, 500, 40, 40),
        (-1e6, -1e6, 2e6, 2e6),
        (-30, -30, 60, 60),
        (0, 0, 1e30, 1e-3),
    ],
)
def test_whatever_box_a_table_gives_the_page_is_made(
    box: tuple[float, ...], save: Callable[[np.ndarray, str], Path], tmp_path: Path
) -> None:
    source = str(save(np.full((100, 120, 3), 200, np.uint8), "face.png"))
    rows = batch(SFACE, ["a", "b"], None, faces_of([2]).vectors, sources=[source] * 2, boxes=[box] * 2)
    groups = group_templates(Templates(pa.Table.from_batches([rows]), SFACE), together=[("a", "b")], same_photo=True)
    write_group_sheets(tmp_path / "sheet", groups)
    text = (tmp_path / "sheet" / "groups-001.html").read_text()
    assert text.count("<img ") + text.count("its box lies outside") == 2
