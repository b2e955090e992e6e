"""The commands that tell: `info` and `encoders`. Parse, call, print."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.thresholds import print_calibration, tell_default

if TYPE_CHECKING:
    from engine.encoders import Card


def info_command(gallery: Annotated[str, typer.Argument(metavar="GALLERY")]) -> None:
    """What a gallery holds, and how its templates were made."""
    from engine.cli.console import answer, for_programs
    from engine.workflows.locations import open_gallery

    opened = open_gallery(gallery)
    described = opened.info()
    fields = asdict(described)
    if for_programs():
        answer("", **fields)
        return
    nothing = {"operating": "exact", "effort": "all"} if fields["exact"] else {}
    del fields["calibration"], fields["decides"]
    for name, value in fields.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {number:.6g}" for key, number in value.items())
        answer(f"{name:<24} {nothing.get(name, 'not known') if value is None else value}")
    print_calibration(described.calibration, described.score)
    tell_default(opened)


def _described(card: "Card", default: bool) -> dict[str, Any]:
    """An encoder as programs are told of it."""
    return {
        "name": card.name,
        "default": default,
        "dim": card.dim,
        "chip": card.chip.size,
        "threshold": card.threshold,
        "mirror": card.flip,
        "quality": card.quality is not None,
        "licence": card.licence,
        "source": card.source,
    }


def encoders_command() -> None:
    """List the encoders, and what finds the faces.

    Dimensions, threshold, mirror average, licence and source of each.
    """
    from rich.table import Table

    from engine.cli.console import answer, for_programs
    from engine.cli.console import out as console
    from engine.encoders import CARDS, DEFAULT
    from engine.faces.detector import LICENCE, SOURCE

    if for_programs():
        answer("", encoders=[_described(card, card.name == DEFAULT) for card in CARDS], detector=SOURCE)
        return
    table = Table("name", "dim", "chip", "threshold", "mirror", "quality", "licence", box=None, pad_edge=False)
    for card in CARDS:
        name = f"{card.name} (default)" if card.name == DEFAULT else card.name
        threshold = "none" if card.threshold is None else f"{card.threshold:g}"
        table.add_row(
            name,
            str(card.dim),
            f"{card.chip.size}x{card.chip.size}",
            f"{threshold}, {card.measured}",
            "yes" if card.flip else "no",
            "no" if card.quality is None else "yes",
            card.licence,
        )
    table.add_row("PATH.onnx, PATH.keras", "any", "any", "as its JSON file says", "yes", "no", "yours")
    console.print(table)
    for card in CARDS:
        console.print(f"{card.name}: {card.source}.")
    console.print("PATH.onnx, PATH.keras: a network of yours, with a JSON file beside it.")
    console.print(f"Faces are found by {SOURCE} ({LICENCE}). mirror: whether --flip is the default.")
    known = ", ".join(card.name for card in CARDS if card.impostors is not None)
    console.print(f"How near strangers come is known for {known}; of others, fewer than 50 people have no default threshold.")
    for card in CARDS:
        if (scale := card.quality) is not None:
            console.print(
                f"What a picture is worth says {card.name}, by {scale.photographs:,} photographs of {scale.people:,} people: "
                f"{scale.means[0].lower()}{scale.means[1:]}"
            )
