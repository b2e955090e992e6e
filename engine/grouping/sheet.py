"""Contact sheets: pages of HTML with the faces of each group, largest groups first, a hundred groups a page.

A page is whole by itself: thumbnails lie in it, nothing is fetched, there is no script, and every text is escaped.
"""

import base64
import html
import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from engine.errors import ImageProblem
from engine.faces.images import decode
from engine.files.atomic_files import whole_folder
from engine.files.object_storage import is_remote
from engine.grouping.groups import Groups

GROUPS_A_PAGE = 100
# Faces of a group that are shown: those that fit it best, and those that fit it least.
BEST, LEAST = 12, 6
_SIDE = 96
_MARGIN = 0.25

_STYLE = """
body{font:15px/1.4 system-ui,sans-serif;margin:1.5rem;color:#1b1b1b;background:#fff}
h2{font-size:1rem;margin:1.2rem 0 .3rem}ul{list-style:none;display:flex;flex-wrap:wrap;gap:.4rem;margin:0;padding:0}
img,.none{width:96px;height:96px;display:block;border-radius:4px}.none{background:#ddd;font-size:.7rem;overflow:hidden}
figure{margin:0;width:96px}figcaption{font-size:.7rem;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}.none{background:#333}}
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_sheet(folder: Path, groups: Groups, progress: Callable[[int], None] | None = None) -> int:
    """Write a folder of pages, `groups-001.html` and so on, and say how many there are.

    Pictures are read where the templates say they are, on this machine alone; of those that are not there, the page says so.

    Raises:
        OutputError: the folder cannot be written.
    """
    numbers = list(groups.members)
    pages = [numbers[start : start + GROUPS_A_PAGE] for start in range(0, len(numbers), GROUPS_A_PAGE)] or [[]]
    with whole_folder(folder) as temporary:
        for at, page in enumerate(pages, 1):
            (temporary / page_name(at)).write_text(_page(groups, page, at, len(pages), progress), encoding="utf-8")
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
    links = " ".join(
        f'<a href="{page_name(other)}"{" aria-current=page" if other == at else ""}>{other}</a>' for other in range(1, pages + 1)
    )
    body = "\n".join(sections) or "<p>There are no groups.</p>"
    title = f"Groups of faces, page {at} of {pages}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f'<body><main><h1>{title}</h1><nav aria-label="Pages">{links}</nav>\n'
        f"<p>{len(groups):,} faces in {len(groups.members):,} groups; {groups.alone:,} are alone.</p>\n"
        f"{body}</main></body></html>\n"
    )


def _section(groups: Groups, number: int) -> str:
    rows = groups.members[number]
    scores = groups.table["score"].combine_chunks().take(rows).fill_null(0.0).to_numpy(zero_copy_only=False)
    rows = rows[np.argsort(-scores, kind="stable")]
    shown = rows if len(rows) <= BEST + LEAST else np.concatenate([rows[:BEST], rows[-LEAST:]])
    left = f", {len(rows) - len(shown):,} between the best and the least not shown" if len(shown) < len(rows) else ""
    name = groups.names[number]
    called = f"{number}: {html.escape(name)}" if name else str(number)
    faces = "\n".join(_figure(groups, int(row)) for row in shown)
    count = f"{len(rows):,} {'face' if len(rows) == 1 else 'faces'}"
    return f"<section><h2>{called} ({count}{left})</h2>\n<ul>\n{faces}\n</ul></section>"


def _figure(groups: Groups, row: int) -> str:
    values = {name: groups.table[name][row].as_py() for name in ("template_id", "source", "box", "score")}
    source = values["source"] or ""
    score = "" if values["score"] is None else f"{values['score']:.2f} "
    caption = f"{score}{html.escape(Path(source).name or values['template_id'])}"
    title = html.escape(f"{source} {values['template_id']}".strip(), quote=True)
    picture = _thumbnail(source, values["box"])
    drawn = f'<img alt="a face of {title}" src="{picture}">' if picture else '<div class="none">the picture is not there</div>'
    return f'<li><figure title="{title}">{drawn}<figcaption>{caption}</figcaption></figure></li>'


def _thumbnail(source: str, box: list[float] | None) -> str | None:
    """The face as a data URI; None where the picture is not on this machine, or cannot be read."""
    if not source or is_remote(Path(source)):
        return None
    try:
        picture = _decoded(source)
    except ImageProblem:
        return None
    cut = picture if box is None else _cut(picture, box)
    if not cut.size:
        return None
    image = Image.fromarray(cut)
    image.thumbnail((_SIDE, _SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _cut(picture: np.ndarray, box: list[float]) -> np.ndarray:
    if not np.isfinite(box).all():
        return picture[:0]
    x, y, width, height = (min(max(value, -1e6), 1e6) for value in box)
    high, wide = picture.shape[:2]
    left, top = max(0, int(x - _MARGIN * width)), max(0, int(y - _MARGIN * height))
    right, bottom = min(wide, int(x + (1 + _MARGIN) * width)), min(high, int(y + (1 + _MARGIN) * height))
    return np.ascontiguousarray(picture[top : max(top, bottom), left : max(left, right)])


@lru_cache(maxsize=4)
def _decoded(source: str) -> np.ndarray:
    return decode(Path(source))
