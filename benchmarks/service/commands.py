"""The command `onek benchmark serve`: parse, call, print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from benchmarks.service.speed import Beside

WHAT = ("pictures", "vectors", "one", "door", "identical", "endure", "hostile", "challenge")
_PEOPLE, _ENROLLED = 60, 40
_PROBES = 2048


def serve_command(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="WHAT...", help=f"{', '.join(WHAT)}. Default: all of them, which takes more than an hour."),
    ] = None,
    photos: Annotated[
        Path | None, typer.Option("--photos", metavar="FOLDER", help="Photographs, one folder a person. Default: drawn people.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures of a round, and of identical.")] = 300,
    identities: Annotated[int, typer.Option(min=10, help="K of the gallery of pictures, if there are so many.")] = 1000,
    templates: Annotated[int, typer.Option(min=1000, help="K of the gallery of vectors.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    clients: Annotated[int, typer.Option(min=1, help="That send pictures at once.")] = 16,
    seconds: Annotated[float, typer.Option(min=1, help="How long to endure.")] = 3600,
    kill_every: Annotated[float, typer.Option("--kill-every", min=0, metavar="SECONDS", help="0: never.")] = 10,
    requests: Annotated[int, typer.Option(min=10, help="Hostile ones.")] = 20_000,
) -> None:
    """A service beside the library, its answers, what it endures, and what hostile requests come to."""
    import tempfile

    from engine.cli.console import err
    from engine.errors import MetricsError

    chosen = what or list(WHAT)
    if unknown := set(chosen) - set(WHAT):
        raise MetricsError(f"{min(unknown)}: expected {', '.join(WHAT)}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if set(chosen) & {"pictures", "one", "door", "identical", "hostile"}:
            err.print("making a gallery of pictures")
            gallery, files = _of_pictures(place, photos, identities, count)
        for each in chosen:
            if each == "pictures":
                _pictures(gallery, files, clients, rounds)
            elif each == "vectors":
                _vectors(place, templates, rounds)
            elif each == "one":
                _one(gallery, files[0])
            elif each == "door":
                _door(place, gallery, files[0])
            elif each == "identical":
                _identical(gallery, files)
            elif each == "endure":
                _endure(place, seconds, kill_every)
            elif each == "hostile":
                _hostile(place, gallery, files[0], requests)
            else:
                _challenge(place, photos, count)


def _of_pictures(place: Path, photos: Path | None, identities: int, count: int) -> tuple[Path, list[Path]]:
    """A gallery of K people with one photograph each, and files to ask for: others of theirs, of strangers, and the same."""
    from engine.embedding.in_memory import embed_images
    from engine.faces.images import find_images
    from engine.gallery.gallery import Gallery

    if photos is None:
        photos, identities = _drawn(place), min(identities, _ENROLLED)
    by_person: dict[str, list[Path]] = {}
    for file in find_images(photos):
        by_person.setdefault(file.parent.name, []).append(file)
    enrolled = [by_person[name][0] for name in sorted(by_person)[:identities]]
    made = embed_images(enrolled, labels="folder")
    gallery = place / "pictures"
    Gallery.build(made.templates, gallery)
    others = [file for files in by_person.values() for file in files[1:]]
    files = (others + enrolled) * (1 + count // max(1, len(others) + len(enrolled)))
    return gallery, files[:count]


def _drawn(place: Path) -> Path:
    """A folder of drawn people, three pictures each."""
    from benchmarks.data.drawn_people import Shot, draw_files

    folder = place / "drawn"
    if not folder.is_dir():
        draw_files([Shot(folder / f"person{seed}" / f"{shot}.jpg", seed, shot) for seed in range(_PEOPLE) for shot in range(3)])
    return folder


def _pictures(gallery: Path, files: list[Path], clients: int, rounds: int) -> None:
    from benchmarks.service.speed import pictures_beside
    from engine.cli.console import progress

    with progress("rounds", rounds) as done:
        made = pictures_beside(gallery, files, clients=clients, rounds=rounds, progress=done)
    _print_beside(f"pictures/s, {clients} clients", made)


def _vectors(place: Path, templates: int, rounds: int) -> None:
    from benchmarks.data.synthetic_templates import Population, Shape
    from benchmarks.service.speed import vectors_beside
    from engine.cli.console import progress, stages
    from engine.gallery.gallery import Gallery
    from engine.templates.model import Templates

    population = Population(Shape.load())
    vectors = population.templates(0, templates)
    names = [f"id{number}" for number in range(templates)]
    with stages() as told:
        Gallery.build(Templates.from_vectors(vectors, names), place / "vectors", score="plain", overwrite=True, progress=told)
    probes = population.templates(0, min(templates, _PROBES), 1)
    with progress("rounds", rounds) as done:
        made = vectors_beside(place / "vectors", probes, rounds=rounds, progress=done)
    _print_beside(f"vectors/s in requests of 64, K={templates:,}", made)


def _one(gallery: Path, file: Path) -> None:
    from benchmarks.service.speed import one_client
    from engine.cli.console import out as console
    from engine.faces.images import decode
    from engine.gallery.gallery import Gallery

    for faces in ("all", "largest"):
        made = one_client(gallery, decode(file), faces=faces)
        console.print(
            f"one client, one picture of 640x480, faces={faces}, K={Gallery.open(gallery).identity_count:,}: "
            f"p50 {made.p50:.0f} ms, p99 {made.p99:.0f} ms of {made.requests:,} requests"
        )


def _door(place: Path, gallery: Path, file: Path) -> None:
    from benchmarks.service.door import at_the_door
    from engine.cli.console import out as console
    from engine.cli.console import progress
    from engine.faces.images import decode

    with progress("frames at the door", None) as done:
        made = at_the_door(gallery, decode(file), place, progress=done)
    console.print(
        f"the page of the door, from a frame of 640x480 to the name on the screen: p50 {made.p50:.0f} ms, p99 {made.p99:.0f} ms "
        f"of {made.requests:,} frames"
    )


def _identical(gallery: Path, files: list[Path]) -> None:
    from benchmarks.service.speed import differing
    from engine.cli.console import out as console

    console.print(f"{differing(gallery, files)} of {len(files):,} pictures answered otherwise than by onek identify")


def _endure(place: Path, seconds: float, kill_every: float) -> None:
    from benchmarks.service.endurance import endure
    from engine.cli.console import out as console
    from engine.cli.console import progress

    (place / "endure").mkdir()
    with progress("enduring", None) as done:
        made = endure(place / "endure", seconds, kill_every=kill_every, progress=done)
    memory = (
        f"{made.memory[0]:,.0f} to {made.memory[-1]:,.0f}, at most {max(made.memory):,.0f} MiB" if made.memory else "not seen"
    )
    console.print(
        f"{made.seconds:,.0f} s, {made.kills:,} kills: {made.acknowledged:,} acknowledged changes, {made.lost} lost; "
        f"{made.answers:,} answers, {made.wrong} wrong; {made.faults} faults of the gallery; memory {memory}"
    )


def _hostile(place: Path, gallery: Path, file: Path, requests: int) -> None:
    from benchmarks.service.hostile import bear
    from engine.cli.console import out as console
    from engine.cli.console import progress
    from engine.service.access.tokens import add_token

    tokens = place / "tokens.toml"
    for token in (None, add_token(tokens, "admin")):
        with progress("hostile requests", requests // 2) as done:
            made = bear(
                gallery,
                requests // 2,
                file.read_bytes(),
                tokens=tokens if token else None,
                token=token,
                log=place / f"hostile-{token is None}.log",
                progress=done,
            )
        counts = ", ".join(f"{count:,} {status or 'unanswered'}" for status, count in made.statuses.items())
        console.print(
            f"{made.requests:,} hostile requests, {'with' if token else 'without'} tokens: {counts}; "
            f"{made.tracebacks} tracebacks; {'it goes on' if made.alive else 'it does not answer any more'}; "
            f"{made.early:,.0f} MiB after the largest pictures, {made.late:,.0f} at the end"
        )


def _challenge(place: Path, photos: Path | None, count: int) -> None:
    from benchmarks.service.challenge import ANGLES, held, photographs
    from engine.cli.console import out as console
    from engine.cli.console import progress
    from engine.faces.images import find_images

    files = find_images(photos or _drawn(place))
    some = files[:: max(1, len(files) // count)][:count]
    with progress("photographs held up", len(some)) as done:
        for each in held(some, done):
            how = f"bent by {each.bend} degrees" if each.bend else "flat"
            console.print(
                f"{each.pictures:,} photographs, {how}, turned up to {max(ANGLES)} degrees each way: {each.turned:,} look like "
                f"heads that turn as asked, {each.passed:,} pass"
            )
    with progress("photographs of one person", len(files)) as done:
        made = photographs(files, done)
    console.print(f"{made.people:,} people with three photographs or more: those of {made.passed:,} pass, held up in order")


def _print_beside(unit: str, made: "Beside") -> None:
    from engine.cli.console import out as console

    console.print(
        f"{unit}: {made.service:,.1f} by the service, {made.library:,.1f} by the library: {100 * made.ratio:.0f} % "
        f"({100 * made.low:.0f} to {100 * made.high:.0f} in single rounds)"
    )
