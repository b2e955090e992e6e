"""Sheets of groups of faces: pages with the faces of each group, largest groups first, a hundred groups a page."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from engine.errors import ImageProblem
from engine.faces.images import decode
from engine.files.atomic_files import whole_folder
from engine.grouping.groups import Groups
from engine.reports.markup import Markup, page, tag
from engine.reports.pictures import NOT_AT_HAND, image, photograph_of
from engine.tables.thumbnails import cut_out, is_inside

GROUPS_A_PAGE = 100
# Faces of a group that are shown: those that fit it best, and those that fit it least.
BEST, LEAST = 12, 6
# Pixels of a face's side.
_SIDE = 96


def write_group_sheets(folder: Path, groups: Groups, progress: Callable[[int], None] | None = None) -> int:
    """Write a folder of pages, `groups-001.html` and so on, and say how many there are.

    Pictures are read where the templates say they are, on this machine alone; of those that are not there, the page says so.

    Raises:
        OutputError: the folder cannot be written.
    """
    numbers = list(groups.members)
    pages = [numbers[start : start + GROUPS_A_PAGE] for start in range(0, len(numbers), GROUPS_A_PAGE)] or [[]]
    with whole_folder(folder) as temporary:
        for at, shown in enumerate(pages, 1):
            (temporary / page_name(at)).write_text(_page(groups, shown, at, len(pages), progress), encoding="utf-8")
    return len(pages)


def page_name(number: int) -> str:
    """What the file of a page is called, counted from 1."""
    return f"groups-{number:03}.html"


def _page(groups: Groups, numbers: list[int], at: int, pages: int, progress: Callable[[int], None] | None) -> str:
    sections = []
    for number in numbers:
        sections.append(_section(groups, number))
        if progress:
            progress(1)
    links = [
        tag("a", f"{other} ", href=page_name(other), **({"aria_current": "page"} if other == at else {}))
        for other in range(1, pages + 1)
    ]
    return page(
        f"Groups of faces, page {at} of {pages}",
        tag("nav", *links, aria_label="Pages"),
        tag("p", f"{len(groups):,} faces in {len(groups.members):,} groups; {groups.alone:,} are alone."),
        *(sections or [tag("p", "There are no groups.")]),
    )


def _section(groups: Groups, number: int) -> Markup:
    rows = groups.members[number]
    scores = groups.table["score"].combine_chunks().take(rows).fill_null(0.0).to_numpy(zero_copy_only=False)
    rows = rows[np.argsort(-scores, kind="stable")]
    shown = rows if len(rows) <= BEST + LEAST else np.concatenate([rows[:BEST], rows[-LEAST:]])
    left = f", {len(rows) - len(shown):,} between the best and the least not shown" if len(shown) < len(rows) else ""
    name = groups.names[number]
    called = f"{number}: {name}" if name else str(number)
    count = f"{len(rows):,} {'face' if len(rows) == 1 else 'faces'}"
    faces = tag("ul", *(_face(groups, int(row)) for row in shown), class_="pictures small")
    return tag("section", tag("h2", f"{called} ({count}{left})"), faces)


def _face(groups: Groups, row: int) -> Markup:
    values = {name: groups.table[name][row].as_py() for name in ("template_id", "source", "box", "score")}
    source = values["source"] or ""
    score = "" if values["score"] is None else f"{values['score']:.2f} "
    title = f"{source} {values['template_id']}".strip()
    picture = _thumbnail(source, values["box"], f"a face of {title}")
    caption = f"{score}{Path(source).name or values['template_id']}"
    return tag("li", tag("figure", picture, tag("figcaption", caption), title=title))


def _thumbnail(source: str, box: list[float] | None, alt: str) -> Markup:
    path = photograph_of(source, None) if source else None
    if path is None:
        return NOT_AT_HAND
    try:
        picture = _decoded(path)
    except ImageProblem as problem:
        return tag("div", f"not shown: {problem}", class_="none")
    if box is None:
        # Without a box the photograph is the face.
        high, wide = picture.shape[:2]
        return image(cut_out(picture, (0, 0, wide, high), _SIDE, around=0), alt)
    if not is_inside(box, picture):
        return tag("div", "not shown: its box lies outside of the photograph", class_="none")
    return image(cut_out(picture, box, _SIDE), alt)


@lru_cache(maxsize=4)
def _decoded(path: Path) -> np.ndarray:
    return decode(path)
