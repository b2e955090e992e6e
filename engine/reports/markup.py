"""Building HTML safely: every text is escaped unless it is marked as `Markup`."""

import html
import re
from collections.abc import Iterable, Sequence

from engine.files.escaping import shown

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#57606a;--line:#d0d7de;--paper:#fff;--shade:#f4f6f8}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa4af;--line:#3a424b;--paper:#0f1318;--shade:#1a2027}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:76rem;padding:1rem 1.25rem 4rem;background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:break-word}
h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0 1rem}h2{font-size:1.2rem;margin:2.5rem 0 .75rem}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
dl.answers{margin:0;border:1px solid var(--line);border-radius:.5rem;background:var(--shade)}
dl.answers div{display:grid;grid-template-columns:11rem 1fr;gap:0 1rem;padding:.6rem 1rem;border-top:1px solid var(--line)}
dl.answers div:first-child{border-top:0}dl.answers dt{font-weight:600}dl.answers dd{margin:0}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.5rem}
figure{margin:0;min-width:0}figure svg{width:100%;height:auto;display:block}figcaption{color:var(--ink);margin-top:.4rem}
.scroll{overflow-x:auto;margin:.5rem 0 1rem}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.4rem 0}
th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right}td,th{white-space:nowrap}td.wrap,th.wrap{white-space:normal;overflow-wrap:anywhere;min-width:12rem}
dd,p,figcaption{overflow-wrap:anywhere}caption{white-space:normal}tbody th{font-weight:400}
.dim{color:var(--dim)}code{font-family:ui-monospace,monospace;font-size:.9em}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));gap:1rem}
.pictures article{border:1px solid var(--line);border-radius:.5rem;padding:.6rem;min-width:0}
.pair{display:flex;gap:.5rem;margin-bottom:.4rem}.pair>*{flex:1 1 0;min-width:0}
.pictures img{width:100%;height:auto;display:block;background:var(--shade)}
.faces{grid-template-columns:repeat(auto-fill,minmax(min(100%,11rem),1fr))}
.small{grid-template-columns:repeat(auto-fill,6rem);gap:.4rem;list-style:none;padding:0}.small figcaption{font-size:.7rem}
.pictures p{margin:.15rem 0;font-size:.9rem}
.none{aspect-ratio:1;background:var(--shade);display:grid;place-items:center;padding:.5rem;text-align:center;font-size:.85rem}
@media (max-width:40rem){dl.answers div{grid-template-columns:1fr}body{padding:.75rem}}
@page{size:A4;margin:14mm}
@media print{:root{--ink:#000;--dim:#444;--line:#bbb;--paper:#fff;--shade:#f4f4f4;color-scheme:light}
body{max-width:none;padding:0;font-size:10pt}.figures{grid-template-columns:1fr 1fr;gap:6mm}
figure,tr,article,dl.answers div{break-inside:avoid}h2,h3,caption{break-after:avoid}.scroll{overflow:visible}
table{font-size:8pt;max-width:100%}.figures figcaption{font-size:9pt}td,th{white-space:normal}td.wrap{overflow-wrap:anywhere}
td.wrap,th.wrap{min-width:0}}
"""


# A cell with more letters than this may break into lines.
_LONG = 28


class Markup(str):
    """A text that is HTML already, and is not escaped again."""

    __slots__ = ()


def markup(*parts: str) -> Markup:
    """Join parts. Those that are not `Markup` are escaped, and their control characters are shown as escapes."""
    return Markup("".join(part if isinstance(part, Markup) else _escaped(part) for part in parts))


def _escaped(text: str) -> str:
    """A text as markup; a number and its % stay on one line."""
    return re.sub(r"(\d) %", "\\1\u00a0%", html.escape(shown(text)))


def tag(name: str, *parts: str, **attributes: str) -> Markup:
    """An element. An attribute whose name is a word of Python's ends in `_`; others have `-` for `_`."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{html.escape(shown(value))}"' for key, value in attributes.items())
    return Markup(f"<{name}{given}>{markup(*parts)}</{name}>")


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: int | None = None) -> Markup:
    """A table that scrolls by itself where it is too wide. From column `numbers` on cells are numbers; by default the second."""
    first = 1 if numbers is None else numbers

    def kind(at: int, cell: str) -> dict[str, str]:
        return {"class_": "n"} if at >= first else {"class_": "wrap"} if len(cell) > _LONG else {}

    head = [tag("th", each, scope="col", **kind(at, each)) for at, each in enumerate(headings)]
    body = [
        tag(
            "tr",
            *(
                tag("th", cell, scope="row", **kind(at, cell)) if at == 0 else tag("td", cell, **kind(at, cell))
                for at, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    made = tag("table", tag("caption", caption), tag("thead", tag("tr", *head)), tag("tbody", *body))
    return tag("div", made, class_="scroll", role="region", tabindex="0", aria_label=caption)


def page(title: str, *parts: str) -> str:
    """A whole page. It has no script and fetches nothing, and its content security policy forbids both."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = [
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("title", title),
        Markup(f"<style>{_STYLE}</style>"),
    ]
    return (
        "<!doctype html>\n"
        + tag("html", tag("head", *head), tag("body", tag("main", tag("h1", title), *parts)), lang="en")
        + "\n"
    )


def drawing(svg: str, name: str, title: str) -> Markup:
    """An SVG inside a page: its ids are its own, its black is the page's ink, and it has a title for who cannot see it."""
    start = svg.index("<svg")
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[start:], flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'xlink:href="#([^"]+)"', rf'xlink:href="#{name}-\1"', body)
    body = re.sub(r'<svg ([^>]*?)(?:width|height)="[^"]*pt"', r"<svg \1", body)
    body = re.sub(r'(<svg [^>]*?)\s(?:width|height)="[^"]*pt"', r"\1", body, count=1)
    label = f"{name}-title"
    body = body.replace("<svg", f'<svg role="img" aria-labelledby="{label}"', 1)
    named = f'<title id="{label}">{html.escape(shown(title))}</title>'
    return Markup(re.sub(r"<svg[^>]*>", lambda found: found[0] + named, body, count=1))
