"""Draw the picture of README.md, `docs/images/onek.svg`: two probes, a gallery, a threshold; one gets a name, one does not.

    python docs/scripts/picture.py

Faces are made of circles, out of a seed each: nobody is shown.
"""

import random
from pathlib import Path

HERE = Path(__file__).parents[1] / "images" / "onek.svg"
WIDTH, HEIGHT = 760, 260
INK, PALE, YES, NO = "#24292f", "#d0d7de", "#1a7f37", "#9a6700"
SKINS = ("#f2d3b3", "#e0ac7d", "#c68642", "#8d5524", "#5c3a21")
HAIRS = ("#2b1b12", "#5a3825", "#a56b46", "#d8b36a", "#8a8a8a")
KIAN, STRANGER = 7, 99


def face(x: float, y: float, size: float, seed: int) -> str:
    """A face of circles around (x, y); the same seed gives the same face."""
    chance = random.Random(seed)  # noqa: S311 - a drawing
    skin, hair = chance.choice(SKINS), chance.choice(HAIRS)
    wide, apart, smile, long = (chance.uniform(low, high) for low, high in ((0.8, 1), (0.3, 0.42), (0.05, 0.3), (0.2, 0.75)))
    eyes = "".join(f'<circle cx="{side * apart:.2f}" cy="-0.08" r="0.09" fill="{INK}"/>' for side in (-1, 1))
    return (
        f'<g transform="translate({x:g} {y:g}) scale({size:g})">'
        f'<ellipse cx="0" cy="{long - 0.45:.2f}" rx="{wide + 0.12:.2f}" ry="1" fill="{hair}"/>'
        f'<ellipse cx="0" cy="0.08" rx="{wide:.2f}" ry="1" fill="{skin}"/>'
        f'<path d="M-{wide:.2f} -0.1 A {wide:.2f} 1 0 0 1 {wide:.2f} -0.1 Q 0 -0.75 -{wide:.2f} -0.1" fill="{hair}"/>{eyes}'
        f'<path d="M-0.3 0.5 Q 0 {0.5 + smile:.2f} 0.3 0.5" fill="none" stroke="{INK}" stroke-width="0.08"/>'
        "</g>"
    )


def text(x: float, y: float, words: str, *, colour: str = INK, anchor: str = "middle", size: int = 15, bold: bool = False) -> str:
    """Words at a place."""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}" font-size="{size}" text-anchor="{anchor}"{weight}>{words}</text>'


def arrow(x: float, y: float, to: float, colour: str = INK) -> str:
    """A level arrow."""
    return (
        f'<path d="M{x:g} {y:g} H{to - 8:g}" stroke="{colour}" stroke-width="2" fill="none"/>'
        f'<path d="M{to:g} {y:g} l-10 -5 v10 z" fill="{colour}"/>'
    )


def gallery() -> str:
    """K people, of whom one is Kian."""
    places = [(265 + 42 * column, 65 + 42 * row) for row in range(4) for column in range(5)]
    faces = "".join(face(x, y, 15, number) for number, (x, y) in enumerate(places))
    x, y = places[KIAN]
    return (
        f'<rect x="238" y="36" width="222" height="186" rx="10" fill="none" stroke="{PALE}" stroke-width="2"/>{faces}'
        f'<circle cx="{x}" cy="{y}" r="20" fill="none" stroke="{YES}" stroke-width="3"/>'
    )


def picture() -> str:
    """The whole of it, as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" role="img" '
        'aria-label="Two probes are searched for in a gallery of K people. One is near enough to Kian and gets his name, '
        'the other is farther than the threshold from everybody and is unknown.">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="#ffffff"/>',
        text(70, 24, "probes", bold=True),
        text(349, 24, "a gallery of K people", bold=True),
        text(620, 24, "decisions", bold=True),
        face(70, 85, 34, KIAN),
        face(70, 185, 34, STRANGER),
        arrow(125, 85, 230),
        arrow(125, 185, 230),
        gallery(),
        arrow(468, 85, 545, YES),
        arrow(468, 185, 545, NO),
        text(560, 83, "kian", colour=YES, anchor="start", size=20, bold=True),
        text(560, 103, "within the threshold", anchor="start", size=13),
        text(560, 183, "unknown", colour=NO, anchor="start", size=20, bold=True),
        text(560, 203, "farther than it from all", anchor="start", size=13),
        text(349, 246, "you say how many strangers may get a name; the gallery finds the threshold", size=13),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    HERE.parent.mkdir(exist_ok=True)
    HERE.write_text(picture(), encoding="utf-8")
