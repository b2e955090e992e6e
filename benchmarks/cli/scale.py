"""The commands `onek benchmark milvus`, `ray` and `scale`: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer


def milvus_command(
    count: Annotated[int, typer.Option(min=1000, help="Templates, one an identity.")] = 100_000,
    probes: Annotated[int, typer.Option(min=2, help="Half of them mated.")] = 8192,
    rounds: int = 5,
    index: Annotated[str | None, typer.Option(metavar="KIND")] = None,
) -> None:
    """What identify adds to a bare search of the same milvus-lite collection, and whether it decides as in a folder."""
    import tempfile

    from benchmarks.speed.milvus import measure_milvus
    from engine.cli.console import out as console
    from engine.cli.console import stages

    with tempfile.TemporaryDirectory() as folder, stages() as told:
        made = measure_milvus(Path(folder), count, probes, rounds, index, told)
    console.print(
        f"identify {made.identify:,.0f} probes/s, MilvusClient.search {made.bare:,.0f}: {100 * made.identify / made.bare:.0f} % "
        f"({100 * made.low:.0f} to {100 * made.high:.0f} in single rounds); asked for the same fields {made.bare_fields:,.0f}: "
        f"{100 * made.identify / made.bare_fields:.0f} %"
    )
    console.print(
        f"{100 * made.equal:.3f} % of {made.probes:,} decisions are those of a gallery in a folder; of the {made.unlike} others "
        f"Milvus has not the shortlist of an exact search for {made.short_milvus}, the folder for {made.short_folder}; "
        f"built in {made.built_seconds:,.0f} s"
    )


def ray_command(
    photos: Annotated[Path, typer.Option(metavar="FOLDER", help="Photographs to embed.")],
    images: Annotated[int, typer.Option(min=256, help="How many of them.")] = 1500,
    count: Annotated[int, typer.Option(min=1000, help="Templates of the gallery, one an identity.")] = 100_000,
    probes: Annotated[int, typer.Option(min=2)] = 100_000,
    rounds: int = 3,
) -> None:
    """Two workers on Ray against one process with two threads: embed and identify, and whether the output is the same."""
    import tempfile

    from benchmarks.speed.ray import embedding_on_ray, identifying_on_ray
    from engine.cli.console import out as console
    from engine.cli.console import stages

    with tempfile.TemporaryDirectory() as folder, stages() as told:
        found = {
            "embed": embedding_on_ray(photos, images, rounds, Path(folder), told),
            "identify": identifying_on_ray(count, probes, rounds, Path(folder), told),
        }
    for name, made in found.items():
        same = "identical" if made.same else "DIFFERENT"
        console.print(
            f"{name}: {made.on_ray:,.0f}/s on Ray, {made.here:,.0f}/s in one process: {100 * made.on_ray / made.here:.0f} % "
            f"({100 * made.low:.0f} to {100 * made.high:.0f} in single rounds); output {same}"
        )


def report_command(
    searches: Annotated[
        int, typer.Option(min=1000, help="Of the whole gallery; of each smaller one a tenth as many.")
    ] = 1_000_000,
    identities: Annotated[int, typer.Option(min=100, help="K of the whole gallery.")] = 1_000_000,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Raw searches, and the report of them.")] = Path(
        "report-benchmark"
    ),
) -> None:
    """What onek report takes for a million searches with K to a million: time and memory."""
    from benchmarks.speed.report_cost import measure_report
    from engine.cli.console import out as console

    made = measure_report(out, searches, identities)
    console.print(
        f"{made.searches:,} searches at K = {made.identities:,} and {made.others:,} of smaller galleries: the report in "
        f"{made.seconds:.0f} s ({made.cpu:.0f} s of CPU), {made.mebibytes:,.0f} MiB at most"
    )


def scale_command(
    templates: Annotated[int, typer.Option(min=1)] = 1_000_000_000,
    rate: Annotated[float, typer.Option(min=1, metavar="PROBES/S")] = 10_000,
    fpir: float = 0.01,
    shards: Annotated[
        list[int] | None, typer.Option("--shards", help="Give it several times. Default: 1, 10, 20, 50, 100.")
    ] = None,
    node_cores: Annotated[int, typer.Option(min=1)] = 32,
    at: Annotated[int, typer.Option(help="Templates at which search was measured.")] = 10_000_000,
    per_second: Annotated[float, typer.Option(help="Probes/s there, on 2 cores.")] = 1141,
    exponent: Annotated[
        float, typer.Option(help="The growth of a probe's cost with K, in the last decade that onek benchmark search saw.")
    ] = 0.76,
    node_price: Annotated[float, typer.Option(min=0, metavar="PRICE", help="Of a node for an hour, in any currency.")] = 0,
    index_bytes: Annotated[int, typer.Option(help="RAM of the index, a template.")] = 40,
    embed_per_second: Annotated[float, typer.Option(help="Photographs/s on 2 cores.")] = 112,
) -> None:
    """What so many templates and probes a second would take, from measured figures and a simulation; docs/scale.md in numbers."""
    from rich.table import Table

    from benchmarks.speed.capacity_model import Figures, embedding_cores, false_match_rate, store_bytes, ways
    from engine.cli.console import out as console

    figures = Figures(at, per_second, 2, exponent, index_bytes, embed_per_second, 2)
    console.print(
        f"FPIR {fpir:g} at K = {templates:,} demands FMR {false_match_rate(fpir, templates):.2g}; "
        f"{store_bytes(templates) / 1e12:.2f} TB of disk; {embedding_cores(rate, figures):,.0f} cores embed {rate:,.0f} "
        "photographs/s"
    )
    columns = ("shards", "of", "replicas", "nodes", "GiB", "busy", "batch", "p50", "p99", "an hour")
    table = Table(*columns, caption="GiB of RAM a node; seconds of a batch of 256 and of an answer; one replica is spare")
    for way in ways(templates, rate, shards or (1, 10, 20, 50, 100), node_cores, figures, node_price):
        times = (f"{value:.3f}" for value in (way.batch_seconds, way.p50, way.p99))
        price = f"{way.price:,.0f}" if node_price else "-"
        numbers = (f"{way.memory / (1 << 30):,.0f}", f"{100 * way.busy:.0f} %", *times, price)
        table.add_row(*(f"{value:,}" for value in (way.shards, way.templates, way.replicas, way.nodes)), *numbers)
    console.print(table)
