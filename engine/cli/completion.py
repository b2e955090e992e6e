"""What the shell completes beside commands and options: encoders, and people of a gallery that is small enough to be instant."""

from pathlib import Path
from typing import Any

import typer

# Bytes of a gallery's files up to which its people are looked up at the tab key, and how many are offered.
SMALL, MOST = 1 << 25, 200


def complete_encoders(incomplete: str) -> list[str]:
    """The names of encoders that begin so."""
    from engine.encoders.registry import CARDS

    return [card.name for card in CARDS if card.name.startswith(incomplete)]


def complete_people(ctx: typer.Context, incomplete: str) -> list[str]:
    """The people who begin so, of the gallery that was named before them; nobody where there is none, or it is large."""
    from engine.errors import OnekError

    folder = _folder(ctx.params.get("gallery"))
    if folder is None:
        return []
    try:
        from engine.gallery.gallery import Gallery

        names = [name for name in Gallery.open(folder) if name.startswith(incomplete) and name.isprintable()]
    except OnekError:  # whoever runs the command is told
        return []
    return names[:MOST]


def _folder(named: Any) -> Path | None:
    """The folder of a small gallery; None for a large one, or one elsewhere."""
    if not isinstance(named, str) or not (folder := Path(named)).is_dir():
        return None
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return folder if size <= SMALL else None
