"""The commands of `onek benchmark` about search: parse, call, print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from benchmarks.data.synthetic_templates import Shape

Kinds = Annotated[list[str], typer.Option("--kind", help="A kind of index; give it several times.")]
Like = Annotated[
    str, typer.Option("--like", metavar="sface|dlib-resnet", help="The encoder whose templates the synthetic ones are like.")
]
Clusterless = Annotated[bool, typer.Option("--clusterless", help="The worst case: people fall into no groups.")]


def search_command(
    max_k: Annotated[int, typer.Option(min=1000, help="The largest number of templates.")] = 1_000_000,
    min_k: Annotated[int, typer.Option(min=1000, help="The smallest; K grows tenfold.")] = 1_000,
    kinds: Kinds = ["flat", "flat-codes", "ivf", "ivf-sq8"],  # noqa: B006
    recall: Annotated[float, typer.Option(help="As of build-index.")] = 0.998,
    rounds: int = 5,
    peers: Annotated[
        bool, typer.Option("--peers", help="hnswlib and usearch too, at the largest K; installed on demand.")
    ] = False,
    peer_python: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The Python of an environment that holds the peers already.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Results, one file each; a run resumes.")] = Path(
        "search-benchmark"
    ),
) -> None:
    """Kinds of index on synthetic templates at growing K: speed beside FAISS's IndexFlatL2, latency, memory, recall."""
    from benchmarks.speed.index_search import clear, draw, growth, measure_search
    from engine.cli.console import err
    from engine.cli.console import out as console
    from indexes.errors import IndexUnsupported
    from indexes.registry import KINDS

    if unknown := [name for name in kinds if name not in KINDS]:
        raise IndexUnsupported(f"--kind {unknown[0]}: expected one of {', '.join(KINDS)}")
    counts = [count for power in range(3, 10) if min_k <= (count := 10**power) <= max_k]
    rows = []
    for count in counts:
        able = [name for name in kinds if count >= getattr(KINDS[name], "least", 1)]
        extra = ("hnswlib", "usearch") if peers and count == counts[-1] else ()
        rows += measure_search(
            [count], able, out, recall=recall, rounds=rounds, peers=extra, python=peer_python, said=lambda what: err.print(what)
        )
        clear(out)
    for row in rows:
        spent = f"{row.visits} visits, shortlist {row.shortlist}; " if row.visits else ""
        console.print(
            f"{row.kind:<10} K = {row.count:>10,}: {row.per_second:>9,.0f} probes/s, IndexFlatL2 {row.flat_per_second:>7,.0f}/s, "
            f"{row.ratio:.1f} times; recall {row.recall_mated:.4f} mated, {row.recall_strangers:.4f} strangers"
        )
        console.print(
            f"{'':<10} {spent}built in {row.build_seconds:.1f} s, tuned in {row.tune_seconds:.1f} s; one probe "
            f"{row.p50:.2f} ms (p99 {row.p99:.2f}); {row.ram:.0f} bytes of RAM and {row.disk:.0f} of disk a template"
        )
    for name in kinds:
        own = [row for row in rows if row.kind == name and row.count >= 10_000]
        if len(own) > 1:
            last = growth(own[-2:])
            console.print(
                f"{name}: cost grows with K to the power of {growth(own):.2f} from K = {own[0].count:,} on, {last:.2f} from "
                f"{own[-2].count:,} to {own[-1].count:,}; what lies beyond goes by the latter"
            )
    draw(rows, out / "search.png")
    console.print(f"curves in {out / 'search.png'}, raw results beside it")


def decisions_command(
    count: Annotated[int, typer.Option(min=1000, help="Templates to enrol.")] = 100_000,
    probes: Annotated[int, typer.Option(min=100, help="Probes to identify, half of them mated.")] = 20_000,
    like: Like = "sface",
    clusterless: Clusterless = False,
    index: Annotated[str | None, typer.Option(metavar="KIND", help="As of build-index.")] = None,
    score: Annotated[str | None, typer.Option(help="As of build-index.")] = None,
    recall: Annotated[float, typer.Option(help="As of build-index.")] = 0.998,
    rounds: int = 3,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where templates and galleries go.")] = Path(
        "decisions-benchmark"
    ),
) -> None:
    """Whether identify decides through an index as an exhaustive search would, at several rates; IndexFlatL2 beside it."""
    from benchmarks.data.synthetic_templates import Population
    from benchmarks.search.decisions import measure_decisions
    from engine.cli.console import err
    from engine.cli.console import out as console

    people = Population(_shape(like, clusterless=clusterless))
    made = measure_decisions(people, out, count, probes, index=index, score=score, recall=recall, rounds=rounds, told=err.print)
    for rate in made.rates:
        console.print(
            f"FPIR {rate.asked:g} asked for: {100 * rate.same:.2f} % of the identifications of an exhaustive search come out the "
            f"same; TPIR {100 * rate.tpir[0]:.2f} and {100 * rate.tpir[1]:.2f} %, FPIR {100 * rate.fpir[0]:.3f} and "
            f"{100 * rate.fpir[1]:.3f} % ({rate.fpir[1] / max(rate.fpir[0], 1e-9):.2f} times)"
        )
    console.print(
        f"scores of the same identifications differ by {100 * made.moved[0]:+.2f} % in the mean, {100 * made.moved[1]:.1f} % for "
        "99 of 100"
    )
    console.print(
        f"{made.kind} at K = {made.count:,}: identify {made.per_second:,.0f} probes/s from file to file, exhaustively "
        f"{made.exhaustive:,.0f}; IndexFlatL2 {made.flat:,.0f}: {made.ratio:.1f} times; built in {made.build_seconds:.1f} s"
    )
    console.print(made.operating)


def announced_command(
    cases: Annotated[
        list[str] | None,
        typer.Option(
            "--case",
            metavar="COUNTxDIM[xEACH]",
            help="Templates, dimensions, and how many templates each person has (1 by default); give it several times.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where templates and galleries go.")] = Path(
        "announced-benchmark"
    ),
    photos: Annotated[
        Path | None, typer.Option("--photos", metavar="FOLDER", help="What embed announces, of its photographs, instead.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Photographs, those of --photos over and over.")] = 1000,
) -> None:
    """Seconds and memory announced by build-index and taken, by default of 10,000 to 1,000,000 of 64, 128 and 512 dimensions."""
    from benchmarks.search.announced import Announced, cases_of, measure_announced
    from engine.cli.console import out as console

    if photos is not None:
        from benchmarks.faces.announced import measure_embedding
        from engine.faces.images import find_images

        seen = measure_embedding(find_images(photos), count, out)
        console.print(
            f"{seen.photographs:,} photographs: announced {seen.announced:.1f} s after {seen.looked:.1f} s, took "
            f"{seen.taken:.1f} s: {seen.announced / seen.taken:.2f}"
        )
        return

    def told(made: Announced) -> None:
        memory = made.announced_memory / (1 << 20), made.taken_memory / (1 << 20)
        console.print(
            f"{made.case!s:>24} {made.kind:<10} announced {made.announced:7.1f} s after {made.looked:.1f} s, took "
            f"{made.taken:7.1f} s: {made.announced / made.taken:.2f}; {memory[0]:6,.0f} MiB, took {memory[1]:6,.0f}: "
            f"{memory[0] / memory[1]:.2f}"
        )

    found = measure_announced(cases_of(cases), out, told)
    within = (sum(getattr(made, name) <= 1.5 for made in found) for name in ("factor", "memory_factor"))
    console.print("within a factor of 1.5: {} of seconds, {} of memory, of {}".format(*within, len(found)))


def peers_command(
    count: Annotated[int, typer.Option(min=5000, help="Templates to index.")] = 100_000,
    peers: Annotated[
        list[str] | None, typer.Option("--peer", help="Those whose names begin so; give it several times. Default: all.")
    ] = None,
    peer_python: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The Python of an environment that holds hnswlib and usearch already.")
    ] = None,
    like: Like = "sface",
    clusterless: Clusterless = False,
    rounds: int = 5,
) -> None:
    """FAISS's own indexes, hnswlib, usearch and milvus-lite beside ivf and IndexFlatL2, in one run at the same decisions."""
    from rich.table import Table

    from benchmarks.data.synthetic_templates import Population
    from benchmarks.search.peers import PEERS, Absent, Peer, measure_peers
    from engine.cli.console import err
    from engine.cli.console import out as console

    names = [name for name in PEERS if peers is None or name.startswith(tuple(peers))]
    people = Population(_shape(like, clusterless=clusterless))

    def told(made: Peer | Absent) -> None:
        err.print(f"{made.name}: {made.why if isinstance(made, Absent) else made.effort}")

    table = Table("index", "identified", "strangers' rank 1", "probes/s", "IndexFlatL2", "times", "built, tuned")
    for made in measure_peers(people, count, names, rounds=rounds, python=peer_python, told=told):
        if isinstance(made, Absent):
            table.add_row(made.name, made.why)
            continue
        shares = f"{made.identified:.4f}", f"{made.strangers:.4f}"
        speeds = f"{made.per_second:,.0f}", f"{made.flat_per_second:,.0f}", f"{made.ratio:.2f}"
        table.add_row(made.name, *shares, *speeds, f"{made.build_seconds:.0f}, {made.tune_seconds:.0f} s")
    console.print(table)


def _shape(like: str, *, clusterless: bool) -> "Shape":
    from benchmarks.data.synthetic_templates import Shape

    return Shape.of(like).clusterless() if clusterless else Shape.of(like)


def gallery_command(
    count: Annotated[int, typer.Option(min=2, help="Templates to enrol.")] = 1_000_000,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="As of build-index.")] = None,
    index: Annotated[str | None, typer.Option(metavar="KIND", help="As of build-index.")] = None,
    recall: Annotated[float, typer.Option(help="As of build-index.")] = 0.998,
    probes: Annotated[int, typer.Option(min=1, help="Probes to identify, half of them mated.")] = 50_000,
    rounds: int = 3,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where templates and gallery go.")] = Path(
        "gallery-benchmark"
    ),
) -> None:
    """The commands on a synthetic gallery: build time and memory, opening, and identify beside the bare index."""
    from benchmarks.speed.whole_gallery import measure_gallery
    from engine.cli.console import bytes_of
    from engine.cli.console import out as console

    made = measure_gallery(out, count, probes, memory=bytes_of(memory), index=index, recall=recall, rounds=rounds)
    mebibyte = 1 << 20
    console.print(
        f"build-index of {count:,}: {made.build_seconds:.1f} s, {made.kind} index, "
        f"at most {made.build_memory / mebibyte:,.0f} MiB"
    )
    console.print(
        f"open and answer the first probe, in a process of its own: {made.open_seconds:.2f} s "
        f"(with imports {made.start_seconds:.2f})"
    )
    console.print(
        f"identify {probes:,} from file to file: {made.identify_per_second:,.0f}/s, bare index {made.bare_per_second:,.0f}/s, "
        f"{100 * made.ratio:.0f} % ({100 * made.low:.0f} to {100 * made.high:.0f} in single rounds); "
        f"at most {made.identify_memory / mebibyte:,.0f} MiB"
    )
    console.print(f"local scores cost {100 * made.local_cost:.1f} % of identify's rate, plain ones beside them")
    console.print(
        "Memory is that of the process itself; pages of mapped files, which the system takes back at will, are not in it."
    )


Labelled = Annotated[list[Path], typer.Argument(metavar="T.parquet...", help="Labelled templates of one encoder.")]


def templates_command(
    templates: Labelled,
    counts: Annotated[
        list[int] | None,
        typer.Option("--people", help="How many to compare; give it several times. Default: half of all, a quarter, an eighth."),
    ] = None,
    splits: Annotated[int, typer.Option(min=1, help="Splits of the people in halves; either half is compared.")] = 5,
) -> None:
    """Whether synthetic templates are to a search what real ones are: fitted to half of the people, compared with the others."""
    from rich.table import Table

    from benchmarks.search.likeness import FIGURES, measure_likeness
    from engine.cli.console import err
    from engine.cli.console import out as console
    from engine.templates.parquet import read_templates

    found = measure_likeness(read_templates(*templates), counts or (), splits=splits, told=err.print)
    for count in dict.fromkeys(each.count for each in found):
        rows = [each for each in found if each.count == count]
        table = Table(f"K = {count:,}", *(row.source for row in rows))
        for at, figure in enumerate(FIGURES):
            table.add_row(figure, *(f"{row.figures[at]:.3f} ± {row.spread[at]:.3f}" for row in rows))
        console.print(table)
    console.print(
        "Shares of lists, nearest first, in which the nearest template lies; distances. ±: standard deviation of a half."
    )


def fit_command(
    templates: Labelled,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FIT.npz", help="The table to write.")],
    within: Annotated[
        Path | None, typer.Option(metavar="ENCODER.within.npy", help="Write how templates of one identity differ, too.")
    ] = None,
) -> None:
    """Fit the generator of synthetic templates to real ones, and say how its distances compare."""
    import numpy as np

    from benchmarks.data.template_fit import GENUINE_LEVELS, IMPOSTOR_LEVELS, fit, people_of
    from engine.cli.console import out as console
    from engine.files.atomic_files import check_output, whole_file
    from engine.templates.parquet import read_templates

    check_output(out, overwrite=False)
    read = read_templates(*templates)
    made = fit(read.vectors, people_of(read), read.provenance.encoder or "unnamed")
    made.shape.save(out)
    if within is not None:
        with whole_file(within) as temporary, temporary.open("wb") as stream:
            np.save(stream, made.shape.noise.astype(np.float16), allow_pickle=False)
    for what, levels in (("impostor", IMPOSTOR_LEVELS), ("genuine", GENUINE_LEVELS)):
        console.print(f"{what:<10}" + "".join(f"{level:>9g}" for level in levels))
        for source, values in (("real", made.real), ("synthetic", made.synthetic)):
            console.print(f"  {source:<8}" + "".join(f"{value:>9.3f}" for value in getattr(values, what)))
    console.print(f"spread {made.spread:g}; in {out}")
