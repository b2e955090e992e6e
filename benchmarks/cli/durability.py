"""The commands of `onek benchmark` about galleries that live, from `living` to `fuzz`: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the gallery goes; it stays there.")]


def living_command(
    count: Annotated[int, typer.Option(min=1000, help="Templates of the gallery that is changed.")] = 1_000_000,
    rounds: int = 5,
    out: Out = Path("living-benchmark"),
) -> None:
    """What change costs: enrolling singly and in batches, removing, searching beside recent templates."""
    from benchmarks.durability.update_cost import measure_living
    from engine.cli.console import out as console
    from engine.cli.console import stages

    with stages() as told:
        made = measure_living(out, count, rounds, told)
    console.print(f"one by one: {made.singles_per_second:,.0f} durable enrolments/s; in batches {made.batches_per_second:,.0f}/s")
    console.print(
        f"... and looked for under other names: {made.singles_looked_per_second:,.0f} and {made.batches_looked_per_second:,.0f}/s"
    )
    console.print(f"{made.removed:,} identities removed in {made.remove_seconds:.2f} s")
    console.print(
        f"identify takes {100 * made.slower:.1f} % longer beside {made.recent:,} recent templates "
        f"({100 * made.slower_low:.1f} to {100 * made.slower_high:.1f} in single rounds)"
    )
    console.print(f"opened with these, and the first probe answered, in {made.reopen_seconds:.2f} s")


def tails_command(
    count: Annotated[int, typer.Option(min=2000, help="Templates of the gallery that a twentieth joins.")] = 1_000_000,
    rounds: int = 3,
    out: Out = Path("tails-benchmark"),
) -> None:
    """A twentieth that joined is sealed: in a tail, and with all of the gallery written again, in turns."""
    from benchmarks.durability.tails import measure_tails
    from engine.cli.console import out as console
    from engine.cli.console import stages

    with stages() as told:
        joined, tail, whole = measure_tails(out, count, rounds, told)
    console.print(f"{joined:,} templates joined {count:,}; in a tail, and with all written again:")
    console.print(f"  {tail.written:,} bytes and {whole.written:,}: {whole.written / tail.written:.1f} times as many")
    for what, ours, theirs in (
        ("sealed", tail.seconds, whole.seconds),
        ("opened, and the first probe answered", tail.opening, whole.opening),
        ("1,024 probes identified", tail.identifying, whole.identifying),
    ):
        console.print(f"  {what}: {ours:.2f} s and {theirs:.2f}: {theirs / ours:.2f} times as long")


def kills_command(
    count: Annotated[int, typer.Option(min=1, help="Writers to kill.")] = 2000,
    seed: int = 0,
    lists: Annotated[bool, typer.Option("--lists", help="Of a gallery that seals who joins in tails.")] = False,
) -> None:
    """Kill writers at random moments: nothing acknowledged may be lost, and the gallery must be whole."""
    import tempfile

    from benchmarks.durability.kills import survive
    from engine.cli.console import out as console
    from engine.cli.console import stages

    with tempfile.TemporaryDirectory() as folder, stages() as told:
        made = survive(Path(folder), count, seed, told, lists=lists)
    console.print(
        f"{made.kills:,} kills, {made.acknowledged:,} acknowledged changes: {made.lost} lost; {made.unopened} galleries that did "
        f"not open, {made.damaged} that were not whole; cut off: "
        + ", ".join(f"{what} {number}" for what, number in made.cut_off.items())
    )


def readers_command(
    readers: Annotated[int, typer.Option(min=1, help="Reading processes.")] = 8,
    writers: Annotated[int, typer.Option(min=1, help="Writing processes.")] = 2,
    seconds: Annotated[float, typer.Option(min=1, help="How long.")] = 60,
) -> None:
    """Processes that read a gallery while others write: no error, and nothing stale after a refresh."""
    import tempfile

    from benchmarks.durability.concurrent_readers import measure_readers
    from engine.cli.console import out as console

    with tempfile.TemporaryDirectory() as folder:
        made = measure_readers(Path(folder), readers, writers, seconds)
    console.print(
        f"{readers} readers, {writers} writers, {seconds:g} s: {made.looks:,} refreshes and searches "
        f"({made.looks / seconds:,.0f}/s), {made.changes:,} changes ({made.changes / seconds:,.0f}/s); {made.errors} errors, "
        f"{made.stale} stale reads"
    )


def concurrent_command(
    readers: Annotated[int, typer.Option(min=1, help="Reading threads.")] = 8,
    writers: Annotated[int, typer.Option(min=1, help="Writing threads.")] = 2,
    objects: Annotated[int, typer.Option(min=1, help="Gallery objects that they share.")] = 2,
    index: Annotated[str, typer.Option(metavar="KIND")] = "flat",
    seconds: Annotated[float, typer.Option(min=1, help="How long.")] = 60,
) -> None:
    """Threads that read and write galleries, each answer compared with who was enrolled when it was asked for."""
    import tempfile

    from benchmarks.durability.kills import people
    from benchmarks.durability.readers_and_writers import drive
    from engine.cli.console import out as console
    from engine.errors import OnekError
    from engine.gallery.gallery import Gallery

    with tempfile.TemporaryDirectory() as folder:
        Gallery.build(people(range(1100)), Path(folder, "g"), score="plain", index=index, recall=0.5).close()
        made = drive([Gallery.open(Path(folder, "g")) for _ in range(objects)], readers, writers, seconds)
    console.print(
        f"{readers} readers, {writers} writers, {objects} gallery objects, {seconds:g} s: {made.changes:,} changes "
        f"({made.changes / seconds:,.0f}/s), {made.answers:,} answers compared; {len(made.wrong)} wrong"
    )
    if made.wrong:
        raise OnekError(f"the first that was wrong: {made.wrong[0]}")


def threads_command(
    count: Annotated[int, typer.Option(min=5000, help="Templates of the gallery, one an identity.")] = 20_000,
    batch: Annotated[int, typer.Option(min=1, max=2048, help="Probes of one call.")] = 1,
    threads: Annotated[int, typer.Option(min=2)] = 2,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long a round takes.")] = 3,
    rounds: int = 5,
) -> None:
    """Threads that search one gallery object side by side, against one thread."""
    import tempfile

    from benchmarks.speed.threads import measure_threads
    from engine.cli.console import out as console
    from engine.cli.console import stages

    with tempfile.TemporaryDirectory() as folder, stages() as told:
        made = measure_threads(Path(folder), count, batch, threads, seconds, rounds, told)
    ratios = [several / one for one, several in zip(made.one, made.several, strict=True)]
    middle = len(ratios) // 2
    console.print(
        f"{batch} probes a call, {count:,} templates: 1 thread {sorted(made.one)[middle]:,.0f} probes/s, "
        f"{threads} threads {sorted(made.several)[middle]:,.0f}; {sorted(ratios)[middle]:.2f} times "
        f"({min(ratios):.2f} to {max(ratios):.2f} in single rounds)"
    )


def fuzz_command(
    count: Annotated[int, typer.Option(min=0, help="Damaged files, shared among the readers; 0: none.")] = 20_000,
    attacks: Annotated[int, typer.Option(min=0, help="Attacks made on purpose, shared among their kinds; 0: none.")] = 20_000,
    seed: int = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that try attacks side by side.")] = 2,
) -> None:
    """Damaged files of every kind, and files that mean harm: an answer or an error of ours, never anything else."""
    from engine.errors import OnekError

    try:
        import hypothesis  # noqa: F401
    except ModuleNotFoundError as error:
        raise OnekError(f"this needs {error.name}: pip install 'onek[dev]'") from error
    if count:
        _damage(count, seed)
    if attacks:
        _attack(attacks, seed, jobs)


def _damage(count: int, seed: int) -> None:
    import tempfile

    from benchmarks.durability.fuzz import fuzz_apart
    from benchmarks.durability.whole_files import READERS
    from engine.cli.console import out as console
    from engine.cli.console import progress

    each = -(-count // len(READERS))
    with progress("readers", len(READERS)) as done:
        for name in READERS:
            with tempfile.TemporaryDirectory() as folder:
                made = fuzz_apart(name, each, Path(folder) / name, seed)
            console.print(
                f"{name:<10} {made.files:,} damaged files: {made.refused:,} refused, {made.files - made.refused:,} read; "
                f"{made.memory / (1 << 20):.0f} MiB more memory at most"
            )
            done(1)


def _attack(count: int, seed: int, jobs: int) -> None:
    """Raises `OnekError` where one went wrong."""
    from benchmarks.durability.attacks import attack_all
    from engine.cli.console import out as console
    from engine.cli.console import progress
    from engine.errors import OnekError

    faults: list[str] = []
    with progress("attacks", count) as done:
        for tried in attack_all(count, seed, jobs, done):
            faults += tried.faults
            console.print(
                f"{tried.kind:<10} {tried.cases:,} attacks of {len(tried.sorts)} sorts: {tried.refused:,} refused, "
                f"{tried.cases - tried.refused - len(tried.faults):,} answered, {len(tried.faults)} faults; "
                f"{tried.memory / (1 << 20):.0f} MiB more memory and {tried.seconds:.1f} s of CPU at most"
            )
            for fault in tried.faults:
                console.print(fault, markup=False)
    if faults:
        raise OnekError(f"{len(faults)} attacks went wrong; the first: {faults[0]}")


def growth_command(
    templates: Annotated[Path, typer.Option("--templates", metavar="T.parquet", help="Labelled templates, such as LFW's.")],
    before: Annotated[int, typer.Option(min=50, help="Identities of the gallery that is built.")] = 100,
    after: Annotated[int, typer.Option(min=51, help="Identities when the last has joined.")] = 1000,
    splits: Annotated[int, typer.Option(min=1)] = 10,
) -> None:
    """The false-alarm rate of a gallery that grew by enrolment alone, beside the one asked for."""
    import tempfile

    from benchmarks.accuracy.growth import measure_growth
    from engine.cli.console import out as console
    from engine.cli.console import stages
    from engine.templates.parquet import read_templates

    with tempfile.TemporaryDirectory() as folder, stages() as told:
        made = measure_growth(read_templates(templates), before, after, Path(folder), splits=splits, progress=told)
    console.print(
        f"grown from {made.before:,} to {made.after:,} identities, {splits} splits, "
        f"last calibrated by itself at {made.calibrated_at:,.0f}; FPIR obtained / asked for (95 %):"
    )
    for rate, own in made.obtained.items():
        whole = made.built[rate]
        console.print(
            f"  {rate:.1%}: {own.mean:.2f} ({own.low:.2f} to {own.high:.2f}); "
            f"built of all of them {whole.mean:.2f} ({whole.low:.2f} to {whole.high:.2f})"
        )
