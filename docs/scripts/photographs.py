"""Draw the photographs that README.md and docs/quickstart.md use: 59 people, six visitors, and somebody at the door.

    python docs/scripts/photographs.py FOLDER

The people do not exist. The visitors are four of them and two strangers; Kian is at the door.
"""

import sys
from pathlib import Path

from benchmarks.data.drawn_people import Shot, draw_files

_NAMES = """
ada ben cleo dan eva finn gina hugo ida jon kian lea mia nils olga paul quinn rosa sam tara udo vera will xena younes zoe
anna bela carl dora emil fay gus hana ivo june kurt lena max nora otto pia rene sofia tom ursula vito wanda yara zeno
amir bina cem dina elio fritz greta heidi imre
"""
NAMES = _NAMES.split()
KIAN = NAMES.index("kian")
STRANGERS = (1000, 1001)


def shots(folder: Path) -> list[Shot]:
    """Which picture of whom goes into which file."""
    enrolled = [
        Shot(folder / f"photos/{name}/{shot + 1}.jpg", person, shot) for person, name in enumerate(NAMES) for shot in (0, 1)
    ]
    who = (KIAN, *(NAMES.index(name) for name in ("dan", "rosa", "otto")), *STRANGERS)
    visitors = [Shot(folder / f"visitors/{number:02d}.jpg", person, 2) for number, person in enumerate(who)]
    return [*enrolled, *visitors, Shot(folder / "door.jpg", KIAN, 3)]


if __name__ == "__main__":
    draw_files(shots(Path(sys.argv[1])), nuisance=0.6)
